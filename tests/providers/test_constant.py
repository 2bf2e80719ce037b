"""The constant provider: one value for everything, whenever and however it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from marshmallow import ValidationError

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import CustomMetricInfo, ExternalMetricInfo, NamespacedName
from metrics_apiserver_providers.constant import ConstantProvider
from tests.fakes import NOON, info, provider_context, request_context

EVERYTHING = selectors.EVERYTHING
ANY = selectors.parse("verb=GET")
PACKETS = info("pods", "packets-per-second")


def make(**options: Any) -> ConstantProvider:
    return ConstantProvider(provider_context(), ConstantProvider.Options().load(options))


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        pytest.param(PACKETS, NamespacedName("shop", "cart-0"), id="a pod"),
        pytest.param(PACKETS, NamespacedName("nowhere", "nobody"), id="a pod that does not exist"),
        pytest.param(info("nodes", "heat", namespaced=False), NamespacedName("", "node-a"), id="a node"),
        pytest.param(info("deployments.apps", "x/y"), NamespacedName("shop", "cart"), id="any other name"),
    ],
)
@pytest.mark.parametrize("series", [EVERYTHING, ANY], ids=["every series", "some series"])
def test_every_metric_of_every_name_is_ten(
    asked: CustomMetricInfo, name: NamespacedName, series: selectors.Selector
) -> None:
    """Nothing is listed and nothing has to exist."""
    value = make().get_metric_by_name(request_context(), name, asked, series)
    assert (str(value.value), value.timestamp, value.metric.name) == ("10", NOON, asked.metric)
    assert (value.described_object.namespace, value.described_object.name) == (name.namespace, name.name)


@pytest.mark.parametrize(
    ("asked", "namespace", "selector", "expected"),
    [
        pytest.param(PACKETS, "shop", "app=cart", ["cart-0", "cart-1"], id="two pods"),
        pytest.param(PACKETS, "shop", "app=none", [], id="no pod"),
        pytest.param(info("nodes", "heat", namespaced=False), "", "", ["node-a", "node-b"], id="every node"),
    ],
)
def test_selector_read_has_an_item_for_each_object(
    asked: CustomMetricInfo, namespace: str, selector: str, expected: list[str]
) -> None:
    """Here objects do have to exist."""
    found = make().get_metric_by_selector(request_context(), namespace, selectors.parse(selector), asked, EVERYTHING)
    assert [(value.described_object.name, str(value.value)) for value in found] == [(name, "10") for name in expected]


@pytest.mark.parametrize("series", [EVERYTHING, ANY], ids=["every series", "some series"])
@pytest.mark.parametrize("namespace", ["shop", "*"])
def test_external_read_is_one_item_without_labels(namespace: str, series: selectors.Selector) -> None:
    """The autoscaler adds up what it gets: once is ten."""
    (value,) = make().get_external_metric(request_context(), namespace, series, ExternalMetricInfo("anything"))
    assert (value.metric_name, str(value.value), value.timestamp) == ("anything", "10", NOON)
    assert value.metric_labels == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(3, "3", id="an integer"),
        pytest.param(0.25, "250m", id="a float"),
        pytest.param("1.5Gi", "1536Mi", id="a quantity"),
        pytest.param(0, "0", id="nothing"),
    ],
)
def test_value_is_configurable(given: Any, expected: str) -> None:
    """As exact as any quantity, for custom and external metrics alike."""
    provider = make(value=given)
    custom = provider.get_metric_by_name(request_context(), NamespacedName("shop", "x"), PACKETS, EVERYTHING)
    (external,) = provider.get_external_metric(request_context(), "shop", EVERYTHING, ExternalMetricInfo("m"))
    assert [str(custom.value), str(external.value)] == [expected, expected]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("1970-01-01T00:00:10Z", id="text"),
        pytest.param("1970-01-01T01:00:10+01:00", id="text with another zone"),
        pytest.param(datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC), id="what YAML makes of it"),
    ],
)
def test_time_of_the_samples_is_configurable(given: Any) -> None:
    """The epoch and ten seconds, as in the write-up that this provider follows."""
    provider = make(timestamp=given)
    custom = provider.get_metric_by_name(request_context(), NamespacedName("shop", "x"), PACKETS, EVERYTHING)
    (external,) = provider.get_external_metric(request_context(), "shop", EVERYTHING, ExternalMetricInfo("m"))
    assert {custom.timestamp.timestamp(), external.timestamp.timestamp()} == {10.0}


def test_nothing_is_listed_unless_it_is_told_to() -> None:
    """Discovery has its stand-ins then."""
    assert list(make().list_all_metrics()) == []
    assert list(make().list_all_external_metrics()) == []


def test_listing_has_scopes_and_external_names() -> None:
    """With a resource it is a custom metric, namespaced unless it is said otherwise; without one external."""
    provider = make(
        list=[
            {"resource": "pods", "metric": "packets-per-second"},
            {"resource": "namespaces", "metric": "work-queue-length", "namespaced": False},
            {"resource": "deployments.apps", "metric": "load", "namespaced": True},
            {"metric": "queue-depth"},
        ]
    )
    assert list(provider.list_all_metrics()) == [
        PACKETS,
        info("namespaces", "work-queue-length", namespaced=False),
        info("deployments.apps", "load"),
    ]
    assert list(provider.list_all_external_metrics()) == [ExternalMetricInfo("queue-depth")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"value": "x"}, "quantities must match", id="a value that is not a quantity"),
        pytest.param({"value": [1]}, "value", id="a value that is not a number"),
        pytest.param({"value": float("nan")}, "value", id="not a number"),
        pytest.param({"timestamp": "yesterday"}, "Not an RFC 3339 time with its zone", id="a time that is none"),
        pytest.param(
            {"timestamp": "1970-01-01T00:00:10"}, "Not an RFC 3339 time with its zone", id="a time without a zone"
        ),
        pytest.param({"list": [{"resource": "pods"}]}, "Missing data", id="a listed metric without a name"),
        pytest.param({"list": [{"metric": ""}]}, "Shorter than minimum", id="a listed metric with an empty name"),
        pytest.param({"list": [{"metric": "m", "namespaced": True}]}, "no resource is given", id="a scope of nothing"),
        pytest.param({"listing": []}, "Unknown field", id="an unknown option"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    """Refused before the server starts."""
    with pytest.raises(ValidationError, match=words):
        make(**options)
