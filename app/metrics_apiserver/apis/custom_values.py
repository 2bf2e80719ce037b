"""What a provider gave for a custom metric, checked before it is an answer."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from metrics_apiserver.apis.checking import (
    Checked,
    checked_time,
    listed,
    number_complaint,
    with_article,
    without_duplicates,
    wrong,
)
from metrics_apiserver.model.metrics import MetricIdentifier, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import ObjectReference

__all__ = ["check_custom"]

# Any: a dataclass holds whatever it was given, and the type checker would take its declaration for the truth.
_VALUE: Any = MetricValue
_REFERENCE: Any = ObjectReference
_METRIC: Any = MetricIdentifier


def check_custom(given: Any) -> Checked[MetricValue]:
    """Check values of a custom metric; of two for one object the first counts. Raises WrongAnswerError."""
    values = listed(given)
    oldest = newest = last = None
    for position, value in enumerate(values):
        if not isinstance(value, _VALUE):
            raise wrong(position, f"is {with_article(value)}, not a MetricValue")
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
            raise wrong(position, _custom_complaint(value))
        # Values of one scrape share their time.
        if value.timestamp is not last:
            last = checked_time(position, value.timestamp)
            oldest = last if oldest is None or last < oldest else oldest
            newest = last if newest is None or last > newest else newest
    return without_duplicates(values, oldest, newest, _object_key)


def _object_key(value: MetricValue) -> Hashable:
    described = value.described_object
    return described.name, described.namespace, described.kind


def _custom_complaint(value: Any) -> str:
    described = value.described_object
    if not isinstance(described, _REFERENCE):
        return f"has {with_article(described)} as its described object, not an ObjectReference"
    if not isinstance(described.name, str) or not isinstance(described.namespace, str):
        return "describes an object whose name or namespace is not text"
    metric = value.metric
    if not isinstance(metric, _METRIC) or not isinstance(metric.name, str):
        return f"has {with_article(metric)} as its metric, not a MetricIdentifier"
    return number_complaint(value)
