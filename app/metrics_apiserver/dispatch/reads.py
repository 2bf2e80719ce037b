"""One read of a metric: what it asks for, and how a provider is asked. Equal reads are equal tuples.

Its text (`str`) is for sentences, and these are for clients, the log and `/debug/reads` alike: a selector by a label
that is called like a secret is hidden in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from metrics_apiserver.dispatch.matching import Matcher
from metrics_apiserver.logs import HIDDEN, shown_selector
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo, ExternalMetricValue, MetricValue
from metrics_apiserver.model.resources import GroupResource, NamespacedName
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.provider import CustomMetricsProvider, ExternalMetricsProvider, RequestContext, UserInfo

__all__ = [
    "CUSTOM",
    "EXTERNAL",
    "ExternalRead",
    "NameRead",
    "Read",
    "Request",
    "SelectorRead",
    "Values",
    "shown_sentence",
]

CUSTOM, EXTERNAL = "custom", "external"
_NAMESPACES = GroupResource("namespaces")

Values = Sequence[MetricValue] | Sequence[ExternalMetricValue]


class Request(NamedTuple):
    """What a read has in common with no other: its deadline in the clock's monotonic time, its id, and who asks."""

    deadline: float
    audit_id: str
    user: UserInfo | None = None


class NameRead(NamedTuple):
    """The metric of one object."""

    name: NamespacedName
    info: CustomMetricInfo
    metric_selector: Selector

    @property
    def api(self) -> str:
        """The API that it is a read of."""
        return CUSTOM

    @property
    def namespace(self) -> str:
        """The namespace of the path."""
        return self.name.namespace

    @property
    def resource(self) -> GroupResource | None:
        """Whose metric it is."""
        return self.info.group_resource

    @property
    def object(self) -> str:
        """The object that is meant, for people."""
        return self.name.name

    def fits(self, matcher: Matcher) -> bool:
        """Tell whether the read is one of those of a `match`."""
        info = self.info
        # A Namespace is in itself, as authorization has it too.
        namespace = self.name.name if info.group_resource == _NAMESPACES else self.name.namespace
        return matcher.custom(namespace, info.group_resource, info.metric, self.metric_selector)

    # Any: that the provider has this API was seen to when the instances were sorted.
    def ask(self, provider: CustomMetricsProvider | Any, context: RequestContext) -> Any:
        """Ask a provider; what it gives is not checked yet."""
        return (provider.get_metric_by_name(context, self.name, self.info, self.metric_selector),)

    def __str__(self) -> str:
        return f"{self.info.metric} of {self.info.group_resource} {self.name}{_narrowed(self.metric_selector)}"


class SelectorRead(NamedTuple):
    """The metric of every object whose labels match."""

    namespace: str
    selector: Selector
    info: CustomMetricInfo
    metric_selector: Selector

    @property
    def api(self) -> str:
        """The API that it is a read of."""
        return CUSTOM

    @property
    def resource(self) -> GroupResource | None:
        """Whose metric it is."""
        return self.info.group_resource

    @property
    def object(self) -> str:
        """The objects that are meant, for people."""
        return f"*{{{shown_selector(str(self.selector))}}}" if self.selector.requirements else "*"

    def fits(self, matcher: Matcher) -> bool:
        """Tell whether the read is one of those of a `match`."""
        return matcher.custom(self.namespace, self.info.group_resource, self.info.metric, self.metric_selector)

    def ask(self, provider: CustomMetricsProvider | Any, context: RequestContext) -> Any:
        """Ask a provider; what it gives is not checked yet."""
        return provider.get_metric_by_selector(context, self.namespace, self.selector, self.info, self.metric_selector)

    def __str__(self) -> str:
        objects = f"{self.info.group_resource}{_narrowed(self.selector)}"
        return f"{self.info.metric} of {objects}{_placed(self.namespace)}{_narrowed(self.metric_selector)}"


class ExternalRead(NamedTuple):
    """The series of an external metric whose labels match."""

    namespace: str
    info: ExternalMetricInfo
    metric_selector: Selector

    @property
    def api(self) -> str:
        """The API that it is a read of."""
        return EXTERNAL

    @property
    def resource(self) -> GroupResource | None:
        """None: it belongs to no object."""
        return None

    @property
    def object(self) -> str:
        """Nothing: it belongs to no object."""
        return ""

    def fits(self, matcher: Matcher) -> bool:
        """Tell whether the read is one of those of a `match`."""
        return matcher.external(self.namespace, self.info.metric, self.metric_selector)

    def ask(self, provider: ExternalMetricsProvider | Any, context: RequestContext) -> Any:
        """Ask a provider; what it gives is not checked yet."""
        return provider.get_external_metric(context, self.namespace, self.metric_selector, self.info)

    def __str__(self) -> str:
        return f"{self.info.metric}{_placed(self.namespace)}{_narrowed(self.metric_selector)}"


Read = NameRead | SelectorRead | ExternalRead


def _placed(namespace: str) -> str:
    return f" in the namespace {namespace}" if namespace and namespace != "*" else ""


def _narrowed(selector: Selector) -> str:
    return f" with {shown_selector(str(selector))}" if selector.requirements else ""


def characters(read: Read) -> int:
    """Return about how long a read is, for who keeps it: also what its text hides counts."""
    return len(str(read)) + sum(len(str(selector)) for selector in _selectors(read))


def shown_sentence(sentence: str, read: Read) -> str:
    """Return what a provider says of a read as a line may show it: without what a selector of the read hides."""
    for selector in _selectors(read):
        if not selector.requirements or shown_selector(str(selector)) != HIDDEN:
            continue
        values = (value for requirement in selector.requirements for value in requirement.values)
        if any(value and value in sentence for value in values):
            return HIDDEN
    return sentence


def _selectors(read: Read) -> tuple[Selector, ...]:
    return (read.metric_selector, read.selector) if isinstance(read, SelectorRead) else (read.metric_selector,)
