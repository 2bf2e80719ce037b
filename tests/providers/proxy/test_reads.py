"""What the proxy asks of the other server, and what it makes of a good answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import (
    BadGatewayError,
    CustomMetricInfo,
    ExternalMetricInfo,
    MetricNotFoundError,
    NamespacedName,
    ObjectReference,
)
from metrics_apiserver_providers.proxy import ProxyProvider
from tests.fakes import info
from tests.providers.proxy.conftest import read_context
from tests.providers.proxy.other import OtherServer, custom_list, external_list, reply, status

EVERYTHING = selectors.EVERYTHING
PACKETS = info("pods", "packets-per-second")
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"


def item(name: str = "cart-0", **more: Any) -> dict[str, Any]:
    described = {"kind": "Pod", "namespace": "shop", "name": name, "apiVersion": "/v1"}
    metric = {"name": "packets-per-second", "selector": None}
    return {"describedObject": described, "metric": metric, "timestamp": "2026-11-21T12:00:00Z", "value": "10", **more}


@pytest.mark.parametrize(
    ("asked", "name", "series", "target"),
    [
        pytest.param(
            PACKETS, NamespacedName("shop", "cart-0"), "", "/namespaces/shop/pods/cart-0/packets-per-second", id="a pod"
        ),
        pytest.param(
            info("deployments.apps", "queue-depth"),
            NamespacedName("shop", "cart"),
            "",
            "/namespaces/shop/deployments.apps/cart/queue-depth",
            id="a resource of a group",
        ),
        pytest.param(
            info("nodes", "heat", namespaced=False), NamespacedName("", "node-a"), "", "/nodes/node-a/heat", id="a node"
        ),
        pytest.param(
            info("namespaces", "work", namespaced=False),
            NamespacedName("", "shop"),
            "",
            "/namespaces/shop/metrics/work",
            id="a namespace itself",
        ),
        pytest.param(
            info("pods", "a b/c?d#e%2f"),
            NamespacedName("shop", "cart-0"),
            "",
            "/namespaces/shop/pods/cart-0/a%20b%2Fc%3Fd%23e%252f",
            id="a name that has to be encoded",
        ),
        pytest.param(
            PACKETS,
            NamespacedName("shop", "cart-0"),
            "verb in (GET,PUT),!old",
            "/namespaces/shop/pods/cart-0/packets-per-second?metricLabelSelector=%21old%2Cverb+in+%28GET%2CPUT%29",
            id="a selector of series",
        ),
    ],
)
def test_read_by_name_asks_for_the_path_of_the_object(
    asked: CustomMetricInfo, name: NamespacedName, series: str, target: str, proxy: ProxyProvider, other: OtherServer
) -> None:
    """Every part is encoded, and nothing is sent that was not asked for."""
    other.answer = status(404, "nothing here")
    with pytest.raises(MetricNotFoundError):
        proxy.get_metric_by_name(read_context(), name, asked, selectors.parse(series))
    # What is not found is looked for in the other version as well, as long as there was no listing.
    assert other.requests[0].target == CUSTOM + target
    assert other.requests[0].values("Audit-ID") == ["an-audit-id"]


@pytest.mark.parametrize(
    ("selector", "series", "query"),
    [
        pytest.param("", "", "", id="neither"),
        pytest.param("app=cart", "", "?labelSelector=app%3Dcart", id="objects"),
        pytest.param("app=cart", "verb", "?labelSelector=app%3Dcart&metricLabelSelector=verb", id="both"),
    ],
)
def test_selectors_go_as_text(selector: str, series: str, query: str, proxy: ProxyProvider, other: OtherServer) -> None:
    """The other server reads them again, by the same grammar."""
    other.answer = reply(200, custom_list(item("cart-0"), item("cart-1")))
    parsed = selectors.parse(selector), selectors.parse(series)
    found = proxy.get_metric_by_selector(read_context(), "shop", parsed[0], PACKETS, parsed[1])
    assert [value.described_object.name for value in found] == ["cart-0", "cart-1"]
    assert other.requests[0].target == f"{CUSTOM}/namespaces/shop/pods/*/packets-per-second{query}"


@pytest.mark.parametrize(
    ("namespace", "series", "target"),
    [
        pytest.param("shop", "", "/namespaces/shop/queue", id="a namespace"),
        pytest.param("*", "", "/namespaces/*/queue", id="every namespace"),
        pytest.param("shop", "a=b", "/namespaces/shop/queue?labelSelector=a%3Db", id="some series"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_external_metric_comes_as_it_is(
    namespace: str, series: str, target: str, packed: bool, proxy: ProxyProvider, other: OtherServer
) -> None:
    """Name, labels, exact value, the sample's own time and window."""
    sent = {
        "metricName": "s0-queue",
        "metricLabels": {"queue": "orders"},
        "timestamp": "2026-11-21T13:00:00.5+01:00",
        "window": 30,
        "value": "1500m",
    }
    other.answer = reply(200, external_list(sent, {**sent, "metricLabels": None}), packed=packed)
    found = proxy.get_external_metric(read_context(), namespace, selectors.parse(series), ExternalMetricInfo("queue"))
    assert other.requests[0].target == EXTERNAL + target
    assert [(value.metric_name, value.metric_labels, str(value.value)) for value in found] == [
        ("s0-queue", {"queue": "orders"}, "1500m"),
        ("s0-queue", None, "1500m"),
    ]
    assert found[0].timestamp == datetime(2026, 11, 21, 12, 0, 0, 500_000, tzinfo=UTC)
    assert found[0].window_seconds == 30


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [("10", None)], id="as it is"),
        pytest.param({"windowSeconds": 60, "value": "64Mi"}, [("64Mi", 60)], id="window and binary suffix"),
        pytest.param({"value": 7}, [("7", None)], id="a number, which Go reads too"),
        pytest.param({"value": "NaN"}, [], id="NaN is no data"),
        pytest.param({"value": "+Inf"}, [], id="infinity is no data"),
        pytest.param({"describedObject": {"kind": "Pod", "namespace": "shop", "name": "x"}}, [], id="another object"),
        pytest.param(
            {"describedObject": {"kind": "Pod", "namespace": "y", "name": "cart-0"}}, [], id="other namespace"
        ),
        pytest.param({"describedObject": {"kind": "Node", "name": "cart-0"}}, [], id="another kind"),
    ],
)
def test_value_of_another_object_is_left_out(
    changes: dict[str, Any], expected: list[Any], proxy: ProxyProvider, other: OtherServer
) -> None:
    """An autoscaler would take it for its own; what is left out is not found."""
    other.answer = reply(200, custom_list(item(**changes)))
    found = []
    try:
        found.append(proxy.get_metric_by_name(read_context(), NamespacedName("shop", "cart-0"), PACKETS, EVERYTHING))
    except MetricNotFoundError as error:
        assert str(error) == "the server could not find the metric packets-per-second for pods cart-0"  # noqa: PT017
    assert [(str(value.value), value.window_seconds) for value in found] == expected


POD = {"kind": "Pod", "namespace": "shop", "name": "cart-0", "apiVersion": "/v1"}


@pytest.mark.parametrize(
    "described",
    [
        pytest.param({**POD, "namespace": None}, id="no namespace"),
        pytest.param({**POD, "namespace": ""}, id="an empty namespace"),
        pytest.param({**POD, "kind": ""}, id="no kind"),
        pytest.param({**POD, "kind": "pods"}, id="the resource instead of its kind"),
        pytest.param({**POD, "kind": "pod"}, id="the kind in lower case"),
        pytest.param({**POD, "apiVersion": None}, id="no version"),
        pytest.param({"name": "cart-0"}, id="a name alone"),
    ],
)
@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_what_an_item_does_not_say_is_what_was_asked_for(
    described: dict[str, Any], version: str, proxy: ProxyProvider, other: OtherServer
) -> None:
    """By name, where even the name and the metric need not be said, and by selector."""
    missing = reply(404, b"404 page not found")

    def answering(*items: dict[str, Any]) -> Any:
        found = reply(200, custom_list(*items, version=version))
        return lambda to, request: (found if f"/{version}/" in request.target else missing)(to, request)

    other.answer = answering({"describedObject": described, "timestamp": None, "value": "10"})
    by_selector = proxy.get_metric_by_selector(read_context(), "shop", EVERYTHING, PACKETS, EVERYTHING)
    other.answer = answering({"describedObject": {**described, "name": None}, "value": "10"})
    by_name = proxy.get_metric_by_name(read_context(), NamespacedName("shop", "cart-0"), PACKETS, EVERYTHING)
    other.answer = answering({"value": "10"})
    nothing_said = proxy.get_metric_by_name(read_context(), NamespacedName("shop", "cart-0"), PACKETS, EVERYTHING)
    for value in (*by_selector, by_name, nothing_said):
        assert value.described_object == ObjectReference("Pod", "cart-0", "/v1", "shop")
        assert value.metric.name == "packets-per-second"


def test_item_of_many_has_to_say_whose_it_is(proxy: ProxyProvider, other: OtherServer) -> None:
    other.answer = reply(200, custom_list({"describedObject": {"kind": "Pod"}, "value": "10"}))
    with pytest.raises(BadGatewayError, match=r"items\[0\]\.describedObject\.name is not a string"):
        proxy.get_metric_by_selector(read_context(), "shop", EVERYTHING, PACKETS, EVERYTHING)


def test_external_value_without_a_name_is_of_the_metric_that_was_asked_for(
    proxy: ProxyProvider, other: OtherServer
) -> None:
    other.answer = reply(200, external_list({"value": "1"}))
    (value,) = proxy.get_external_metric(read_context(), "shop", EVERYTHING, ExternalMetricInfo("queue"))
    assert (value.metric_name, value.metric_labels) == ("queue", None)


def test_root_scope_gives_objects_of_every_namespace(proxy: ProxyProvider, other: OtherServer) -> None:
    """The path names no namespace to hold them to."""
    other.answer = reply(200, custom_list(item("cart-0")))
    asked = info("pods", "packets-per-second", namespaced=False)
    found = proxy.get_metric_by_selector(read_context(), "", EVERYTHING, asked, EVERYTHING)
    assert [value.described_object.namespace for value in found] == ["shop"]
    assert other.requests[0].target == f"{CUSTOM}/pods/*/packets-per-second"


def test_time_of_null_is_the_time_of_the_read(proxy: ProxyProvider, other: OtherServer) -> None:
    """Go writes null for a time that nobody set."""
    other.answer = reply(200, custom_list(item(timestamp=None)))
    before = datetime.now(UTC)
    value = proxy.get_metric_by_name(read_context(), NamespacedName("shop", "cart-0"), PACKETS, EVERYTHING)
    assert before <= value.timestamp <= datetime.now(UTC)


def test_server_with_the_old_version_alone_is_asked_in_it(proxy: ProxyProvider, other: OtherServer) -> None:
    """Before the first listing every version is tried; its items have other field names."""
    old = {**item(), "metricName": "packets-per-second", "window": 30}
    del old["metric"]
    missing, found = reply(404, b"404 page not found"), reply(200, custom_list(old, version="v1beta1"))

    def answer(connection: Any, request: Any) -> bool:
        return (found if "/v1beta1/" in request.target else missing)(connection, request)

    other.answer = answer
    value = proxy.get_metric_by_name(read_context(), NamespacedName("shop", "cart-0"), PACKETS, EVERYTHING)
    assert (value.metric.name, value.window_seconds) == ("packets-per-second", 30)


def test_reads_share_a_connection(proxy: ProxyProvider, other: OtherServer) -> None:
    """It is kept alive between them."""
    other.answer = reply(200, external_list())
    for _ in range(5):
        assert not proxy.get_external_metric(read_context(), "shop", EVERYTHING, ExternalMetricInfo("queue"))
    assert (len(other.requests), other.connections) == (5, 1)


def test_api_that_is_not_the_proxys_is_not_asked(make_proxy: Any, other: OtherServer) -> None:
    """The next provider may have it."""
    proxy = make_proxy(apis=["external"])
    with pytest.raises(MetricNotFoundError):
        proxy.get_metric_by_name(read_context(), NamespacedName("shop", "cart-0"), PACKETS, EVERYTHING)
    assert not make_proxy(apis=["custom"]).get_external_metric(
        read_context(), "shop", EVERYTHING, ExternalMetricInfo("queue")
    )
    assert other.requests == []
