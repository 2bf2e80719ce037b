"""What is an answer, and what is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.apis.checking import WrongAnswerError
from metrics_apiserver.apis.custom_values import check_custom
from metrics_apiserver.apis.external_values import check_external
from metrics_apiserver.model.metrics import ExternalMetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.schemas.dumper import dumper
from metrics_apiserver.schemas.external_metrics_v1beta1 import ExternalMetricValueSchema
from tests.dispatch.making import series, value_of
from tests.fakes import NOON

VALUE = value_of()
(SERIES,) = series(1)
TOO_EARLY = datetime.fromisoformat("0001-01-01T00:00:00+01:00")
TOO_LATE = datetime.fromisoformat("9999-12-31T23:59:59-01:00")
NAIVE = datetime(2026, 11, 21)  # noqa: DTZ001 - what a careless author gives


def changed(value: Any, /, **fields: Any) -> list[Any]:
    return [value, dataclasses.replace(value, **fields)]


@pytest.mark.parametrize(
    ("check", "given", "sentence"),
    [
        pytest.param(check_custom, None, "the answer is NoneType, not a list", id="nothing at all"),
        pytest.param(check_external, "12", "the answer is a str, not a list", id="text"),
        pytest.param(check_external, {"": 12}, "the answer is a dict, not a list", id="a mapping"),
        pytest.param(check_external, SERIES, "an ExternalMetricValue, not a list", id="a value by itself"),
        pytest.param(check_custom, [12], "item 0 of the answer is an int, not a MetricValue", id="a number"),
        pytest.param(check_custom, [SERIES], "is an ExternalMetricValue, not a MetricValue", id="of the other API"),
        pytest.param(check_external, [VALUE], "is a MetricValue, not an ExternalMetricValue", id="turned round"),
        pytest.param(
            check_custom, changed(VALUE, value=1.5), "item 1 of the answer has a float as its value", id="float"
        ),
        pytest.param(check_external, changed(SERIES, value=float("nan")), "has a float as its value", id="NaN"),
        pytest.param(
            check_external, changed(SERIES, value="1"), "has a str as its value, not a Quantity", id="as text"
        ),
        pytest.param(check_custom, changed(VALUE, timestamp=None), "has NoneType as its timestamp", id="no time"),
        pytest.param(check_external, changed(SERIES, timestamp=12.5), "has a float as its timestamp", id="seconds"),
        pytest.param(check_external, changed(SERIES, timestamp=NAIVE), "without a time zone", id="no zone"),
        pytest.param(check_custom, changed(VALUE, window_seconds=1.5), "as its window", id="a fraction of a window"),
        pytest.param(check_external, changed(SERIES, window_seconds="5m"), "a str as its window", id="window as text"),
        pytest.param(check_custom, changed(VALUE, described_object="x"), "as its described object", id="no reference"),
        pytest.param(
            check_custom,
            [dataclasses.replace(VALUE, described_object=dataclasses.replace(VALUE.described_object, name=None))],
            "whose name or namespace is not text",
            id="an object without a name",
        ),
        pytest.param(check_custom, changed(VALUE, metric="rps"), "not a MetricIdentifier", id="a name as the metric"),
        pytest.param(check_external, changed(SERIES, metric_name=None), "as its metric's name", id="no metric's name"),
        pytest.param(check_external, changed(SERIES, metric_labels={"a": 1}), "text to text", id="a number in a label"),
        pytest.param(check_external, changed(SERIES, metric_labels={1: "a"}), "text to text", id="a number as a key"),
        pytest.param(check_external, changed(SERIES, metric_labels="a=b"), "text to text", id="text as labels"),
        pytest.param(check_custom, changed(VALUE, timestamp=TOO_EARLY), "before year 1", id="before all time"),
        pytest.param(check_external, changed(SERIES, timestamp=TOO_LATE), "after year 9999", id="after all time"),
        pytest.param(check_external, changed(SERIES, metric_labels=[("a", "b")]), "text to text", id="pairs as labels"),
    ],
)
def test_wrong_answer_is_told_apart(check: Callable[[Any], Any], given: Any, sentence: str) -> None:
    """The sentence names the item and the type, and quotes nothing."""
    with pytest.raises(WrongAnswerError) as caught:
        check(given)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("many", [list, tuple, iter], ids=["a list", "a tuple", "a generator"])
def test_answer_is_the_readers_own(many: Callable[[Any], Any]) -> None:
    """What the provider does to its list later changes nothing."""
    checked = check_external(many(series(1, 2)))
    assert checked.values == tuple(series(1, 2))


def test_oldest_sample_is_found() -> None:
    """It decides what maxAge leaves, and what `/metrics` says."""
    minute = timedelta(minutes=1)
    times = [NOON, NOON - 3 * minute, NOON - minute]
    values = [value_of(f"cart-{number}", timestamp=time) for number, time in enumerate(times)]
    assert check_custom(values).oldest == NOON - 3 * minute
    assert check_custom([]).oldest is None


def test_of_two_values_of_one_object_the_first_counts() -> None:
    """The autoscaler keeps one value for each object's name."""
    checked = check_custom([value_of("a", 1), value_of("b", 2), value_of("a", 3)])
    assert [(value.described_object.name, str(value.value)) for value in checked.values] == [("a", "1"), ("b", "2")]
    assert checked.duplicates == 1


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3), max_size=8))
def test_of_equal_label_sets_the_first_counts(label_sets: list[dict[str, str]]) -> None:
    """Whatever the order in which the labels stand: the autoscaler adds up what it gets."""
    turned = [dict(reversed(labels.items())) if number % 2 else labels for number, labels in enumerate(label_sets)]
    values = [ExternalMetricValue("queue", NOON, Quantity.of(number), labels) for number, labels in enumerate(turned)]
    expected = {}
    for number, labels in enumerate(label_sets):
        expected.setdefault(frozenset(labels.items()), number)
    checked = check_external(values)
    assert [value.value for value in checked.values] == [Quantity.of(number) for number in expected.values()]
    assert checked.duplicates == len(label_sets) - len(expected)


@pytest.mark.parametrize(
    ("time", "written"),
    [
        pytest.param("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", id="the first second"),
        pytest.param("0001-01-01T01:00:00+01:00", "0001-01-01T00:00:00Z", id="the first second, in another zone"),
        pytest.param("0099-12-31T23:59:59.9-00:30", "0100-01-01T00:29:59Z", id="two digits, in another zone"),
        pytest.param("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", id="the last second"),
    ],
)
def test_times_at_the_ends_of_all_time_have_four_digits(time: str, written: str) -> None:
    """As Go reads them, by both ways of writing."""
    series = dataclasses.replace(SERIES, timestamp=datetime.fromisoformat(time))
    check_external([series])
    assert dumper(ExternalMetricValueSchema())(series)["timestamp"] == written
    assert ExternalMetricValueSchema().dump(series)["timestamp"] == written


def test_no_labels_stay_what_they_are() -> None:
    """Null and an empty map are the same series."""
    null = dataclasses.replace(SERIES, metric_labels=None)
    assert check_external([null, dataclasses.replace(SERIES, metric_labels={})]).values == (null,)
    assert dumper(ExternalMetricValueSchema())(null)["metricLabels"] is None
    assert ExternalMetricValueSchema().dump(null)["metricLabels"] is None
