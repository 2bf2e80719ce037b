"""Whether a read is one of those that an instance is asked for: its `match`, compiled once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metrics_apiserver.apis.api import Info, Read
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.dispatch.globs import Fits, one_of
from metrics_apiserver.model.metrics import CustomMetricInfo
from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.model.selectors import Operator, Selector
from metrics_apiserver.settings import MatchSettings

__all__ = ["Matcher"]

# What requires a label to be there; the first three say which values it can have.
_LISTING = frozenset((Operator.EQUALS, Operator.DOUBLE_EQUALS, Operator.IN))
_EXCLUDING = frozenset((Operator.NOT_EQUALS, Operator.NOT_IN))
_REQUIRING = _LISTING | {Operator.EXISTS, Operator.GREATER_THAN, Operator.LESS_THAN}


class Matcher:
    """Tells which reads belong to an instance: those that fit one of its rules, and every read where it has none."""

    def __init__(self, match: Sequence[MatchSettings]) -> None:
        self._rules = tuple(map(_Rule.of, match))

    def fits(self, read: Read) -> bool:
        """Return whether a read is one of these."""
        return not self._rules or any(rule.fits(read) for rule in self._rules)

    def lists(self, api: str, info: Info) -> bool:
        """Return whether there may be a read of this metric that fits: in some namespace, with some selector."""
        return not self._rules or any(rule.lists(api, info) for rule in self._rules)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One MatchSettings, as functions; None fits everything."""

    api: str | None
    namespace: Fits | None
    resource: Fits | None
    metric: Fits | None
    # Of external metrics, whose names have no case.
    external: Fits | None
    label: _Label | None

    @classmethod
    def of(cls, match: MatchSettings) -> _Rule:
        return cls(
            api=match.api or None,
            namespace=_one_of(match.namespaces),
            resource=_one_of(match.resources),
            metric=_one_of(match.metrics),
            external=one_of(match.metrics, any_case=True) if match.metrics else None,
            label=_Label.of(match.label) if match.label else None,
        )

    def fits(self, read: Read) -> bool:
        """Return whether a read is all that the rule says; what belongs to no object fits no rule on resources."""
        return bool(
            self._names(read.api.name, read.info.metric, read.resource)
            and (self.namespace is None or self.namespace(read.matched_namespace))
            and (self.label is None or self.label.required_by(read.metric_selector))
        )

    def lists(self, api: str, info: Info) -> bool:
        """Return whether a metric is all that the rule says of metrics."""
        resource = info.group_resource if isinstance(info, CustomMetricInfo) else None
        return self._names(api, info.metric, resource)

    def _names(self, api: str, metric: str, resource: GroupResource | None) -> bool:
        fits = self.external if api == EXTERNAL_METRICS_API.name else self.metric
        return bool(
            (self.api is None or self.api == api)
            and (fits is None or fits(metric))
            and (self.resource is None or (resource is not None and self.resource(str(resource))))
        )


@dataclass(frozen=True, slots=True)
class _Label:
    """A label that a selector has to require; `value` is None where any value will do."""

    key: str
    value: Fits | None

    @classmethod
    def of(cls, text: str) -> _Label:
        key, equals, value = text.partition("=")
        return cls(key, _one_of((value,)) if equals else None)

    def required_by(self, selector: Selector) -> bool:
        """Return whether every series that the selector selects has the label, with a value that fits."""
        about = [each for each in selector.requirements if each.key == self.key]
        if self.value is None:
            return any(each.operator in _REQUIRING for each in about)
        listed = [set(each.values) for each in about if each.operator in _LISTING]
        if not listed:
            return False
        excluded = {value for each in about if each.operator in _EXCLUDING for value in each.values}
        possible = set.intersection(*listed) - excluded
        return bool(possible) and all(map(self.value, possible))


def _one_of(globs: Sequence[str]) -> Fits | None:
    """Compile globs of which one has to fit; None where there are none."""
    return one_of(globs) if globs else None
