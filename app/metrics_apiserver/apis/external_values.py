"""What a provider gave for an external metric, checked before it is an answer."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from metrics_apiserver.apis.checking import (
    Checked,
    checked_time,
    is_text_mapping,
    listed,
    number_complaint,
    with_article,
    without_duplicates,
    wrong,
)
from metrics_apiserver.model.metrics import ExternalMetricValue
from metrics_apiserver.model.quantity import Quantity

__all__ = ["check_external"]

# Any: a dataclass holds whatever it was given, and the type checker would take its declaration for the truth.
_VALUE: Any = ExternalMetricValue


def check_external(given: Any) -> Checked[ExternalMetricValue]:
    """Check values of an external metric; of two with the same labels the first counts. Raises WrongAnswerError."""
    values = listed(given)
    oldest = newest = last = None
    for position, value in enumerate(values):
        if not isinstance(value, _VALUE):
            raise wrong(position, f"is {with_article(value)}, not an ExternalMetricValue")
        if not (
            isinstance(value.value, Quantity)
            and isinstance(value.metric_name, str)
            and (value.metric_labels is None or is_text_mapping(value.metric_labels))
            and (value.window_seconds is None or isinstance(value.window_seconds, int))
        ):
            raise wrong(position, _external_complaint(value))
        if value.timestamp is not last:
            last = checked_time(position, value.timestamp)
            oldest = last if oldest is None or last < oldest else oldest
            newest = last if newest is None or last > newest else newest
    return without_duplicates(values, oldest, newest, _label_key)


def _label_key(value: ExternalMetricValue) -> Hashable:
    return frozenset(value.metric_labels.items()) if value.metric_labels else frozenset()


def _external_complaint(value: Any) -> str:
    if not isinstance(value.metric_name, str):
        return f"has {with_article(value.metric_name)} as its metric's name, not text"
    if value.metric_labels is not None and not is_text_mapping(value.metric_labels):
        return "has labels that are not a mapping of text to text"
    return number_complaint(value)
