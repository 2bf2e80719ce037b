"""Two answers to one read, compared object by object, or label set by label set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from metrics_apiserver.provider import ExternalMetricValue, MetricValue, Quantity

__all__ = ["Comparison", "Difference", "Outcome", "Result", "by_key", "compare"]

# Values under what they belong to, with its name for people; or what was raised.
Keyed = Mapping[Hashable, tuple[str, Quantity]]
Outcome = Keyed | BaseException


class Result(StrEnum):
    """How a comparison ended; of several differences the first in this order counts."""

    SAME = "same"
    MISSING = "missing"
    EXTRA = "extra"
    VALUE = "value"
    FIRST_FAILED = "first_failed"
    SECOND_FAILED = "second_failed"
    BOTH_FAILED = "both_failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Difference:
    """What one of them has of an object or label set, and the other; None is not a value."""

    where: str
    first: Quantity | None
    second: Quantity | None

    def __str__(self) -> str:
        first, second = ("no value" if value is None else value for value in (self.first, self.second))
        return f"{self.where}: first {first}, second {second}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result, and what differs."""

    result: Result
    differences: tuple[Difference, ...] = ()
    error: BaseException | None = None


def by_key(values: Iterable[Any]) -> Keyed:
    """Put each value under what it belongs to; a second one for the same has a key of its own. Raises TypeError."""
    seen: Counter[Hashable] = Counter()
    found: dict[Hashable, tuple[str, Quantity]] = {}
    for value in values:
        if not isinstance(value, (MetricValue, ExternalMetricValue)) or not isinstance(value.value, Quantity):
            raise TypeError(f"{type(value).__name__} is not a value of a metric, or has none")
        key, where = _place(value)
        found[key, seen[key]] = where, value.value
        seen[key] += 1
    return found


def compare(first: Outcome, second: Outcome, *, tolerance: Decimal) -> Comparison:
    """Compare two outcomes; the tolerance is in percent of the first value."""
    if isinstance(first, BaseException):
        failed = Result.BOTH_FAILED if isinstance(second, BaseException) else Result.FIRST_FAILED
        return Comparison(failed, error=first)
    if isinstance(second, BaseException):
        return Comparison(Result.SECOND_FAILED, error=second)
    differences = []
    for key in [*first, *(key for key in second if key not in first)]:
        one, other = first.get(key), second.get(key)
        if one is None or other is None or not _close(one[1], other[1], tolerance):
            where = one[0] if one is not None else second[key][0]
            differences.append(Difference(where, one and one[1], other and other[1]))
    return Comparison(_result(differences), tuple(differences))


def _result(differences: Iterable[Difference]) -> Result:
    kinds = {
        Result.MISSING if each.second is None else Result.EXTRA if each.first is None else Result.VALUE
        for each in differences
    }
    return next((result for result in Result if result in kinds), Result.SAME)


def _place(value: MetricValue | ExternalMetricValue) -> tuple[Hashable, str]:
    if isinstance(value, MetricValue):
        described = value.described_object
        place = f"{described.namespace}/{described.name}" if described.namespace else described.name
        return (described.kind, described.namespace, described.name), f"{described.kind} {place}"
    labels = sorted((value.metric_labels or {}).items())
    return tuple(labels), "{" + ",".join(f"{key}={text}" for key, text in labels) + "}"


def _close(first: Quantity, second: Quantity, tolerance: Decimal) -> bool:
    if first == second:
        return True
    return 100 * abs(first.value - second.value) <= tolerance * abs(first.value)
