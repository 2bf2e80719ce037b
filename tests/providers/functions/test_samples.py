"""What functions return, and what reads select of it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import NamespacedName
from metrics_apiserver.provider.functions import Value
from metrics_apiserver_providers.functions.samples import ResultError, custom_samples, external_sample

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, 11, tzinfo=UTC)
QUEUES = {"": 42, "queue=orders": 30, "queue=mail": 12, "zone=eu,queue=orders": 5}
ORDERS, MAIL, EU = {"queue": "orders"}, {"queue": "mail"}, {"queue": "orders", "zone": "eu"}
WEB_0, WEB_1 = NamespacedName("shop", "web-0"), NamespacedName("shop", "web-1")


def selected(result: Any, selector: str = "") -> list[tuple[str, dict[str, str]]]:
    found = external_sample(result, NOW).select(selectors.parse(selector))
    return [(str(number), dict(labels)) for labels, number in found]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param("", [("42", {})], id="without a selector the base alone"),
        pytest.param("queue=orders", [("30", ORDERS), ("5", EU)], id="all that match"),
        pytest.param("queue=orders,zone=eu", [("5", EU)], id="several labels"),
        pytest.param("queue in (orders,mail),!zone", [("30", ORDERS), ("12", MAIL)], id="the whole grammar"),
        pytest.param("!zone", [("30", ORDERS), ("12", MAIL)], id="never the base, though no label matches as well"),
        pytest.param("queue!=orders", [("12", MAIL)], id="not the base either where a label must differ"),
        pytest.param("queue=none", [], id="none that matches is not a failure"),
    ],
)
def test_selector_never_gives_the_base(selector: str, expected: Any) -> None:
    """The autoscaler adds up all it gets."""
    assert selected(QUEUES, selector) == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(42, [("42", {})], id="a number"),
        pytest.param("1500m", [("1500m", {})], id="the text of a quantity"),
        pytest.param(Value(42).add_selector("queue", "orders", 30), [("42", {})], id="a Value"),
        pytest.param({"queue=orders": 30, "queue=mail": 12}, [("30", ORDERS), ("12", MAIL)], id="no base: all sets"),
        pytest.param(Value().add_selector("queue", "orders", 30), [("30", ORDERS)], id="a Value without a base"),
        pytest.param({"": None, "queue=orders": 30}, [], id="a base without data is not the sum of the sets"),
        pytest.param(Value(math.nan).add_selector("queue", "orders", 30), [], id="the same of a Value"),
        pytest.param({"queue=orders": math.inf, "queue=mail": 12}, [("12", MAIL)], id="a set without data is left out"),
        pytest.param(None, [], id="None"),
        pytest.param(math.nan, [], id="NaN"),
        pytest.param({}, [], id="an empty mapping"),
    ],
)
def test_read_without_a_selector(result: Any, expected: Any) -> None:
    assert selected(result) == expected


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        pytest.param([1, 2], r"\[1, 2\] is not a number: give an int", id="a list"),
        pytest.param("many", "the text 'many' is not a quantity", id="a text"),
        pytest.param(object(), "is not a number", id="an object"),
        pytest.param({"queue": 1}, "'queue' is not a label set", id="a key that is not a label set"),
        pytest.param({3: 1}, "the key 3 must be a label set", id="a key that is no text"),
        pytest.param({"a=1,b=2": 1, "b=2,a=1": 2}, "the label set a=1,b=2 is given twice", id="one set twice"),
        pytest.param({"queue=orders": Value(3)}, "is not a number", id="a Value in a mapping"),
    ],
)
def test_wrong_result_is_named(result: Any, sentence: str) -> None:
    with pytest.raises(ResultError, match=f"its function returned no value: .*{sentence}"):
        external_sample(result, NOW)


def test_time_of_the_value_wins_over_that_of_the_end() -> None:
    assert external_sample(Value(1, timestamp=EARLIER), NOW).timestamp == EARLIER
    assert external_sample(1, NOW).timestamp == NOW


def test_value_that_is_changed_later_changes_nothing() -> None:
    """The author may go on with his object in another thread."""
    value = Value()
    sample = external_sample(value.add_selector("queue", "orders", 30), NOW)
    value.add_selector("queue", "mail", 12)
    assert len(sample.series) == 1


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param({"web-0": 7, "web-1": 8}, {WEB_0: "7", WEB_1: "8"}, id="by name"),
        pytest.param({WEB_0: 7}, {WEB_0: "7"}, id="by the object"),
        pytest.param({"web-0": Value(3, timestamp=EARLIER)}, {WEB_0: "3"}, id="a Value"),
        pytest.param({"web-0": None, "web-1": 8}, {WEB_0: "None", WEB_1: "8"}, id="an object without data"),
        pytest.param({NamespacedName("other", "x"): 1}, {NamespacedName("other", "x"): "1"}, id="an object elsewhere"),
        pytest.param(7, {WEB_0: "7", WEB_1: "7"}, id="a number is that of every object"),
        pytest.param(None, {}, id="None"),
    ],
)
def test_values_of_objects(result: Any, expected: Any) -> None:
    samples = custom_samples(result, NOW, namespace="shop", objects=[WEB_0, WEB_1])
    assert {name: str(sample.base) for name, sample in samples.items()} == expected


@pytest.mark.parametrize(
    ("result", "namespace", "sentence"),
    [
        pytest.param({"web-0": 7}, None, "the name web-0 does not say in which namespace: use the object", id="bare"),
        pytest.param({3: 7}, "shop", "3 is not an object: the key is its name, or the object itself", id="no name"),
        pytest.param({"": 7}, "shop", "'' is not an object", id="an empty name"),
        pytest.param({"web-0": 7, WEB_0: 8}, "shop", "the object shop/web-0 is named twice", id="twice"),
        pytest.param({"web-0": [1]}, "shop", r"shop/web-0: \[1\] is not a number", id="a value that is none"),
        pytest.param({"web-0": {"a=1": 1}}, "shop", "an object has a number or a Value, not a mapping", id="a mapping"),
        pytest.param([7], "shop", r"\[7\] is not a number", id="a list"),
    ],
)
def test_wrong_values_of_objects_are_named(result: Any, namespace: str | None, sentence: str) -> None:
    with pytest.raises(ResultError, match=f"its function returned no values of objects: .*{sentence}"):
        custom_samples(result, NOW, namespace=namespace, objects=[WEB_0])
