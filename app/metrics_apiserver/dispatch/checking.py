"""Whether what a provider gave is an answer: every item's types are looked at, and doubles are dropped."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from metrics_apiserver.model.metrics import ExternalMetricValue, MetricIdentifier, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import ObjectReference

__all__ = ["Checked", "WrongAnswerError", "check_custom", "check_external"]


# Any: a dataclass holds whatever it was given, and the type checker would take its declaration for the truth.
_CUSTOM: Any = MetricValue
_EXTERNAL: Any = ExternalMetricValue
_REFERENCE: Any = ObjectReference
_METRIC: Any = MetricIdentifier


class WrongAnswerError(Exception):
    """A provider gave what is no answer; the text says what, and quotes no value."""


class Checked(NamedTuple):
    """Values that can be served; `doubles` are how many were left out."""

    values: Sequence[Any]
    oldest: datetime | None
    doubles: int


def check_custom(given: Any) -> Checked:
    """Check values of a custom metric; of two for one object the first counts. Raises WrongAnswerError."""
    values = _listed(given)
    oldest = last = None
    for position, value in enumerate(values):
        if not isinstance(value, _CUSTOM):
            raise _wrong(position, f"is {_article(value)}, and no MetricValue")
        described = value.described_object
        if not (
            isinstance(value.value, Quantity)
            and isinstance(described, _REFERENCE)
            and isinstance(described.name, str)
            and isinstance(described.namespace, str)
            and isinstance(value.metric, _METRIC)
            and isinstance(value.metric.name, str)
            and (value.window_seconds is None or isinstance(value.window_seconds, int))
        ):
            raise _wrong(position, _custom_complaint(value))
        # Values of one scrape share their time.
        if value.timestamp is not last:
            last = _time(position, value.timestamp)
            oldest = last if oldest is None or last < oldest else oldest
    return _without_doubles(values, oldest, _object_key)


def check_external(given: Any) -> Checked:
    """Check values of an external metric; of two with the same labels the first counts. Raises WrongAnswerError."""
    values = _listed(given)
    oldest = last = None
    for position, value in enumerate(values):
        if not isinstance(value, _EXTERNAL):
            raise _wrong(position, f"is {_article(value)}, and no ExternalMetricValue")
        if not (
            isinstance(value.value, Quantity)
            and isinstance(value.metric_name, str)
            and _is_of_text(value.metric_labels)
            and (value.window_seconds is None or isinstance(value.window_seconds, int))
        ):
            raise _wrong(position, _external_complaint(value))
        if value.timestamp is not last:
            last = _time(position, value.timestamp)
            oldest = last if oldest is None or last < oldest else oldest
    return _without_doubles(values, oldest, _label_key)


def _listed(given: Any) -> Sequence[Any]:
    """Take it as it is, or as a list of its own where the provider could still change it."""
    if type(given) is tuple:
        return given
    # Nearly always; a look at an abstract class takes longer than all the rest.
    if type(given) is list:
        return tuple(given)
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, Mapping)):
        return tuple(given)
    raise WrongAnswerError(f"the answer is {_article(given)}, and no list")


def _time(position: int, time: Any) -> datetime:
    if not isinstance(time, datetime):
        raise _wrong(position, f"has {_article(time)} as its timestamp, and no datetime")
    if time.utcoffset() is None:
        raise _wrong(position, "has a timestamp without a time zone")
    return time


def _is_of_text(labels: Any) -> bool:
    if type(labels) is not dict and not isinstance(labels, Mapping):
        return False
    for key, value in labels.items():  # noqa: SIM110 - half the time of all() over a generator
        if not (isinstance(key, str) and isinstance(value, str)):
            return False
    return True


def _object_key(value: MetricValue) -> Hashable:
    described = value.described_object
    return described.name, described.namespace, described.kind


def _label_key(value: ExternalMetricValue) -> Hashable:
    return frozenset(value.metric_labels.items())


def _without_doubles(values: Sequence[Any], oldest: datetime | None, key_of: Any) -> Checked:
    if len(values) < 2:
        return Checked(values, oldest, 0)
    keys = list(map(key_of, values))
    doubles = len(keys) - len(set(keys))
    if doubles:
        firsts: dict[Hashable, Any] = {}
        for key, value in zip(keys, values, strict=True):
            firsts.setdefault(key, value)
        values = tuple(firsts.values())
    return Checked(values, oldest, doubles)


def _custom_complaint(value: Any) -> str:
    described = value.described_object
    if not isinstance(described, _REFERENCE):
        return f"has {_article(described)} as its described object, and no ObjectReference"
    if not isinstance(described.name, str) or not isinstance(described.namespace, str):
        return "describes an object whose name or namespace is no text"
    metric = value.metric
    if not isinstance(metric, _METRIC) or not isinstance(metric.name, str):
        return f"has {_article(metric)} as its metric, and no MetricIdentifier"
    return _number_complaint(value)


def _external_complaint(value: Any) -> str:
    if not isinstance(value.metric_name, str):
        return f"has {_article(value.metric_name)} as its metric's name, and no text"
    if not _is_of_text(value.metric_labels):
        return "has labels that are no mapping of text to text"
    return _number_complaint(value)


def _number_complaint(value: Any) -> str:
    if not isinstance(value.value, Quantity):
        return f"has {_article(value.value)} as its value, and no Quantity"
    return f"has {_article(value.window_seconds)} as its window, and no whole number of seconds"


def _wrong(position: int, complaint: str) -> WrongAnswerError:
    return WrongAnswerError(f"item {position} of the answer {complaint}")


def _article(value: Any) -> str:
    name = type(value).__name__
    return name if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
