"""The wire types: what a value looks like in each version, read back and written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from metrics_apiserver.model.metrics import ExternalMetricValue, MetricIdentifier, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import ObjectReference
from metrics_apiserver.model.selectors import parse
from metrics_apiserver.schemas import custom_metrics_v1beta1, custom_metrics_v1beta2
from metrics_apiserver.schemas.encoders import JSON, YAML, encode
from metrics_apiserver.schemas.fields import QuantityField, Time
from metrics_apiserver.schemas.table import API_VERSIONS, GROUPS, api_version, versions_of

TIME = datetime(2026, 11, 21, 13, 30, 15, 987654, tzinfo=timezone(timedelta(hours=1)))
POD = ObjectReference(kind="Pod", name="a", namespace="shop", api_version="/v1")
NODE = ObjectReference(kind="Node", name="n", api_version="/v1")
SELECTOR = parse("verb=GET,code in (200,201)").to_label_selector()
WIRE_SELECTOR = {
    "matchLabels": {"verb": "GET"},
    "matchExpressions": [{"key": "code", "operator": "In", "values": ["200", "201"]}],
}


def value(reference: ObjectReference = POD, selector: Any = None, window: int | None = None) -> MetricValue:
    return MetricValue(reference, MetricIdentifier("rps", selector), TIME, Quantity.of("1500m"), window)


@pytest.mark.parametrize(
    ("version", "given_value", "expected"),
    [
        pytest.param(
            custom_metrics_v1beta2,
            value(),
            {
                "describedObject": {"kind": "Pod", "namespace": "shop", "name": "a", "apiVersion": "/v1"},
                "metric": {"name": "rps", "selector": None},
                "timestamp": "2026-11-21T12:30:15Z",
                "value": "1500m",
            },
            id="v1beta2, nothing optional",
        ),
        pytest.param(
            custom_metrics_v1beta2,
            value(NODE, SELECTOR, 60),
            {
                "describedObject": {"kind": "Node", "name": "n", "apiVersion": "/v1"},
                "metric": {"name": "rps", "selector": WIRE_SELECTOR},
                "timestamp": "2026-11-21T12:30:15Z",
                "windowSeconds": 60,
                "value": "1500m",
            },
            id="v1beta2, everything",
        ),
        pytest.param(
            custom_metrics_v1beta1,
            value(NODE, SELECTOR, 0),
            {
                "describedObject": {"kind": "Node", "name": "n", "apiVersion": "/v1"},
                "metricName": "rps",
                "timestamp": "2026-11-21T12:30:15Z",
                "window": 0,
                "value": "1500m",
                "selector": WIRE_SELECTOR,
            },
            id="v1beta1, everything, a window of no time is known all the same",
        ),
        pytest.param(
            custom_metrics_v1beta1,
            value(),
            {
                "describedObject": {"kind": "Pod", "namespace": "shop", "name": "a", "apiVersion": "/v1"},
                "metricName": "rps",
                "timestamp": "2026-11-21T12:30:15Z",
                "value": "1500m",
                "selector": None,
            },
            id="v1beta1, nothing optional",
        ),
    ],
)
def test_value(version: Any, given_value: MetricValue, expected: dict[str, Any]) -> None:
    """Fields, names and order are upstream's."""
    dumped = version.MetricValueSchema().dump(given_value)
    assert json.dumps(dumped) == json.dumps(expected)


def test_external_value() -> None:
    """Labels are written even when there are none; the window is called `window`."""
    row = api_version("external.metrics.k8s.io", "v1beta1")
    assert row is not None
    values = [
        ExternalMetricValue("q", TIME, Quantity.of(1)),
        ExternalMetricValue("q", TIME, Quantity.of(2), {"a": "b"}, 30),
    ]
    assert row.dump_list(values) == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {"metricName": "q", "metricLabels": {}, "timestamp": "2026-11-21T12:30:15Z", "value": "1"},
            {
                "metricName": "q",
                "metricLabels": {"a": "b"},
                "timestamp": "2026-11-21T12:30:15Z",
                "window": 30,
                "value": "2",
            },
        ],
    }


def test_table_prefers_the_newest_version() -> None:
    """The order of the rows is the order of preference."""
    assert GROUPS == ("custom.metrics.k8s.io", "external.metrics.k8s.io")
    assert [row.version for row in versions_of(GROUPS[0])] == ["v1beta2", "v1beta1"]
    assert api_version(GROUPS[0], "v9") is None
    assert all(row.dump_list([])["apiVersion"] == row.group_version for row in API_VERSIONS)


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        pytest.param(Time(), "2026-11-21T12:30:15Z", TIME.astimezone(UTC).replace(microsecond=0), id="a time"),
        pytest.param(QuantityField(), "1k", Quantity.of(1000), id="a quantity"),
        pytest.param(QuantityField(), 3, Quantity.of(3), id="a quantity as a number"),
    ],
)
def test_field_is_read(field: Any, text: Any, expected: Any) -> None:
    """What is written can be read again, by proxies and test clients."""
    assert field.deserialize(text) == expected


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (Time(), "yesterday"),
        (Time(), "2026-11-21T12:30:15"),
        (Time(), 3),
        (QuantityField(), "x"),
        (QuantityField(), []),
    ],
)
def test_field_refuses(field: Any, text: Any) -> None:
    """A wrong value is a ValidationError, not a crash."""
    with pytest.raises(ValidationError):
        field.deserialize(text)


@given(
    st.recursive(
        st.text() | st.booleans() | st.none() | st.integers(-(2**53), 2**53),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_yaml_and_json_read_back_as_the_same_document(document: Any) -> None:
    """Both formats carry the same content, for a reader of YAML 1.1."""
    try:
        encoded = encode(document, media_type=JSON)
    except TypeError:  # a lone surrogate: no text at all
        return
    assert json.loads(encoded) == document
    assert yaml.safe_load(encode(document, media_type=YAML)) == document


@pytest.mark.parametrize(
    "text", ["1e3", "12", "true", "y", "N", "null", "1.", ".5", "0o17", "2026-11-21", "~", "0x1f", "1_0"]
)
def test_yaml_quotes_text_that_looks_like_something_else(text: str) -> None:
    """In double quotes, as Go writes it."""
    assert encode({"value": text}, media_type=YAML) == f'value: "{text}"\n'.encode()


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 2500])
def test_long_list_is_written_as_a_short_one_is(count: int) -> None:
    """Piece by piece, and to the byte what it would be at once."""
    document = {"kind": "List", "metadata": {}, "items": [{"n": number, "text": '"]}'} for number in range(count)]}
    assert encode(document) == json.dumps(document, separators=(",", ":")).encode() + b"\n"
    turned = {"items": document["items"], "kind": "List"}
    assert encode(turned) == json.dumps(turned, separators=(",", ":")).encode() + b"\n"
