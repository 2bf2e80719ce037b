"""Two answers to one read: what counts as the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metrics_apiserver.provider import ExternalMetricValue, MetricIdentifier, MetricValue, ObjectReference, Quantity
from metrics_apiserver_providers.shadow.comparison import Outcome, by_key, compare
from tests.fakes import NOON

ERROR = ValueError("down")


def pod(name: str, value: str, namespace: str = "shop") -> MetricValue:
    described = ObjectReference("Pod", name, "/v1", namespace)
    return MetricValue(described, MetricIdentifier("packets"), NOON, Quantity.parse(value))


def series(value: str, **labels: str) -> ExternalMetricValue:
    return ExternalMetricValue("queue", NOON, Quantity.parse(value), labels)


def outcome(given: Any) -> Outcome:
    return given if isinstance(given, Exception) else by_key(given)


@pytest.mark.parametrize(
    ("first", "second", "result", "differences"),
    [
        pytest.param([], [], "same", [], id="nothing and nothing"),
        pytest.param([pod("a", "1k")], [pod("a", "1000")], "same", [], id="one value in two writings"),
        pytest.param([pod("a", "1"), pod("b", "2")], [pod("b", "2"), pod("a", "1")], "same", [], id="another order"),
        pytest.param(
            [pod("a", "1")], [pod("a", "1001m")], "value", ["Pod shop/a: first 1, second 1001m"], id="another value"
        ),
        pytest.param(
            [pod("a", "1")], [], "missing", ["Pod shop/a: first 1, second no value"], id="the second lacks one"
        ),
        pytest.param([], [pod("a", "1")], "extra", ["Pod shop/a: first no value, second 1"], id="the second has more"),
        pytest.param(
            [pod("a", "1")],
            [pod("a", "1", namespace="x")],
            "missing",
            ["Pod shop/a: first 1, second no value", "Pod x/a: first no value, second 1"],
            id="an object of another namespace",
        ),
        pytest.param(
            [series("1", q="a"), series("2")],
            [series("1", q="a"), series("3")],
            "value",
            ["{}: first 2, second 3"],
            id="label sets",
        ),
        pytest.param(
            [series("1", q="a", b="c")],
            [series("1", q="b")],
            "missing",
            ["{b=c,q=a}: first 1, second no value", "{q=b}: first no value, second 1"],
            id="other labels",
        ),
        pytest.param(
            [series("1"), series("1")], [series("1")], "missing", ["{}: first 1, second no value"], id="a double"
        ),
        pytest.param(ERROR, [], "first_failed", [], id="the first fails"),
        pytest.param([], ERROR, "second_failed", [], id="the second fails"),
        pytest.param(ERROR, ERROR, "both_failed", [], id="both fail"),
    ],
)
def test_answers_are_compared_object_by_object(first: Any, second: Any, result: str, differences: list[str]) -> None:
    """Exactly, as quantities, and in any order."""
    found = compare(outcome(first), outcome(second), tolerance=Decimal(0))
    assert (found.result, [str(each) for each in found.differences]) == (result, differences)


@pytest.mark.parametrize(
    ("first", "second", "tolerance", "result"),
    [
        pytest.param("100", "101", "1", "same", id="at the tolerance"),
        pytest.param("100", "101001m", "1", "value", id="just above it"),
        pytest.param("100", "99", "1", "same", id="below the first"),
        pytest.param("-100", "-101", "1", "same", id="of negative values"),
        pytest.param("0", "1n", "50", "value", id="nothing is near zero"),
        pytest.param("100", "100.1", "0.1", "same", id="a part of a percent"),
        pytest.param("1E", "1000000000000000001", "0", "value", id="no float is between"),
    ],
)
def test_tolerance_is_in_percent_of_the_first(first: str, second: str, tolerance: str, result: str) -> None:
    """Both were asked at slightly different times."""
    found = compare(by_key([series(first)]), by_key([series(second)]), tolerance=Decimal(tolerance))
    assert found.result == result
