"""What holds for every value that a provider answers with, whichever API it is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import pytest

from metrics_apiserver.provider import ExternalMetricValue, MetricValue, Quantity

__all__ = ["check_own_list", "check_quantities", "check_same", "check_times", "check_windows", "listed", "single"]

_Value = TypeVar("_Value", MetricValue, ExternalMetricValue)
# So that a fault is told once, by the check whose name says it.
_TOLD_ELSEWHERE = "the answer is of another type, as another check tells"


def single(answer: Any) -> MetricValue:
    """Return the answer of a by-name read, for the checks of what is in it."""
    if not isinstance(answer, MetricValue):
        pytest.skip(_TOLD_ELSEWHERE)
    return answer


def listed(answer: Any, kind: type[_Value]) -> list[_Value]:
    """Return the values of a list, for the checks of what is in it."""
    if not isinstance(answer, Sequence) or not all(isinstance(value, kind) for value in answer):
        pytest.skip(_TOLD_ELSEWHERE)
    return list(answer)


def check_times(values: Iterable[MetricValue | ExternalMetricValue]) -> None:
    """Check that each sample says when it was taken, and in which zone."""
    for value in values:
        # A provider that is not type-checked may give anything here, such as seconds.
        naive = getattr(value.timestamp, "tzinfo", None) is None
        assert not naive, (
            f"the timestamp {value.timestamp!r} has no time zone: give the time of the sample as a datetime with one, "
            "such as self.context.clock.now() or datetime.fromtimestamp(seconds, UTC)"
        )


def check_quantities(values: Iterable[MetricValue | ExternalMetricValue]) -> None:
    """Check that each value is a number that Kubernetes can have."""
    for value in values:
        assert isinstance(value.value, Quantity), (
            f"the value is {value.value!r}: make it with Quantity.of(...), and where there is no number (NaN, "
            "infinity, None), leave the value out or raise MetricNotFoundError"
        )


def check_windows(values: Iterable[MetricValue | ExternalMetricValue]) -> None:
    """Check that a window is a whole number of seconds."""
    for value in values:
        window: Any = value.window_seconds
        whole = window is None or (isinstance(window, int) and window >= 0)
        assert whole, f"window_seconds is {window!r}: give whole seconds, or None where the window is not known"


def check_own_list(answer: Any, again: Any) -> None:
    """Empty an answer that can be emptied, and check that the next read has as many values."""
    if not isinstance(answer, list):
        return
    count = len(answer)
    answer.clear()
    assert len(again()) == count, (
        "emptying the list of one answer empties the next answer: give a new list with each (return list(self.values))"
    )


def check_same(outcomes: Iterable[Any], expected: Iterable[Any]) -> None:
    """Check that what threads read at once is what was read alone."""
    for outcome, alone in zip(outcomes, expected, strict=True):
        assert not isinstance(outcome, Exception), (
            f"a read beside others raised {outcome!r}: methods are called on several threads at once; replace values "
            "as a whole, or guard them with a lock"
        )
        assert outcome == alone, (
            f"read beside others it was {outcome}, and {alone} alone: keep nothing of a read on self; if it is the "
            "value that changes with each read, exempt this check"
        )
