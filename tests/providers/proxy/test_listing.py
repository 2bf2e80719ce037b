"""The other server's listing, as discovery gets it: from memory, and renewed in the background."""

from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import BadGatewayError, ExternalMetricInfo, MetricNotFoundError, NamespacedName
from metrics_apiserver_providers.proxy import ProxyProvider
from tests.controlplane.waiting import wait_until
from tests.fakes import info
from tests.providers.proxy.conftest import MakeProxy, read_context
from tests.providers.proxy.other import Answer, OtherServer, listing, reply, status

V2, V1 = "custom.metrics.k8s.io/v1beta2", "custom.metrics.k8s.io/v1beta1"
EXTERNAL = "external.metrics.k8s.io/v1beta1"
MISSING = reply(404, b"404 page not found")


def by_path(**answers: Answer) -> Answer:
    """Answer by API and version: `v2`, `v1`, `external`; what is not given is missing."""
    names = {f"/apis/{V2}": "v2", f"/apis/{V1}": "v1", f"/apis/{EXTERNAL}": "external"}

    def answer(connection: Any, request: Any) -> bool:
        return answers.get(names.get(request.target, ""), MISSING)(connection, request)

    return answer


def listed(proxy: ProxyProvider) -> tuple[list[str], list[str]]:
    custom = [str(each) for each in proxy.list_all_metrics()]
    return custom, [each.metric for each in proxy.list_all_external_metrics()]


@pytest.mark.parametrize(
    ("names", "external", "expected"),
    [
        pytest.param(
            ["pods/packets", "nodes/heat", "deployments.apps/depth", "namespaces/work"],
            ["queue", "s0-x"],
            (
                [
                    "pods/packets(namespaced)",
                    "nodes/heat(root)",
                    "deployments.apps/depth(namespaced)",
                    "namespaces/work(root)",
                ],
                ["queue", "s0-x"],
            ),
            id="metrics of both APIs",
        ),
        pytest.param(
            ["custommetrics"], ["externalmetrics"], ([], []), id="the placeholders of a server without metrics"
        ),
        pytest.param(["pods/", "/x", "pods/a/b", ""], ["a/b", ""], ([], []), id="what no path can name"),
        pytest.param([], [], ([], []), id="nothing"),
    ],
)
def test_names_are_those_of_the_other_server(
    names: list[str], external: list[str], expected: Any, proxy: ProxyProvider, other: OtherServer
) -> None:
    """A placeholder stands for metrics that are not listed, and is none."""
    other.answer = by_path(v2=reply(200, listing(V2, *names)), external=reply(200, listing(EXTERNAL, *external)))
    assert proxy._listing.refresh()
    assert listed(proxy) == expected


def test_old_server_is_listed_and_read_in_its_version(proxy: ProxyProvider, other: OtherServer) -> None:
    """Once it is known, no other version is tried."""
    other.answer = by_path(v1=reply(200, listing(V1, "pods/packets")), external=reply(200, listing(EXTERNAL)))
    assert proxy._listing.refresh()
    assert listed(proxy) == (["pods/packets(namespaced)"], [])
    other.requests.clear()
    with pytest.raises(BadGatewayError):
        proxy.get_metric_by_name(
            read_context(), NamespacedName("shop", "a"), info("pods", "packets"), selectors.EVERYTHING
        )
    assert [request.target for request in other.requests] == [f"/apis/{V1}/namespaces/shop/pods/a/packets"]


def test_api_that_the_server_lacks_is_not_asked(proxy: ProxyProvider, other: OtherServer) -> None:
    """KEDA has the external API alone: reads of the other go on to the next provider, and cost nothing."""
    other.answer = by_path(external=reply(200, listing(EXTERNAL, "queue")))
    assert not proxy._listing.refresh()
    other.requests.clear()
    everything = selectors.EVERYTHING
    with pytest.raises(MetricNotFoundError):
        proxy.get_metric_by_name(read_context(), NamespacedName("shop", "a"), info("pods", "packets"), everything)
    assert not proxy.get_metric_by_selector(read_context(), "shop", everything, info("pods", "packets"), everything)
    assert other.requests == []
    other.answer = by_path(v2=reply(200, listing(V2, "pods/packets")), external=reply(200, listing(EXTERNAL)))
    proxy._listing.refresh()
    assert listed(proxy) == (["pods/packets(namespaced)"], [])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(status(503, "later"), "answers 503 Service Unavailable: later", id="not available"),
        pytest.param(status(403, "no"), "does not let this server read", id="no rights"),
        pytest.param(reply(200, b"{"), "it is not JSON", id="garbage"),
        pytest.param(reply(200, {"kind": "Status"}), "its kind is not APIResourceList", id="another kind"),
        pytest.param(reply(200, listing("x/v1")), "it lists another group or version", id="another group"),
        pytest.param(
            reply(200, {**listing(EXTERNAL), "resources": [{"name": 1}]}),
            "resources[0].name is not a string",
            id="name",
        ),
    ],
)
def test_failing_listing_keeps_the_last(
    answer: Answer, problem: str, proxy: ProxyProvider, other: OtherServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the problem once, and its end."""
    good = by_path(v2=reply(200, listing(V2, "pods/packets")), external=reply(200, listing(EXTERNAL, "queue")))
    caplog.set_level("INFO")
    other.answer = good
    proxy._listing.refresh()
    other.answer = by_path(v2=reply(200, listing(V2, "pods/packets")), external=answer)
    assert not proxy._listing.refresh()
    assert not proxy._listing.refresh()
    assert listed(proxy) == (["pods/packets(namespaced)"], ["queue"])
    other.answer = good
    assert proxy._listing.refresh()
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("the listing of external.metrics.k8s.io cannot be read, the last one stays: ")
    assert problem in first
    assert second == "the listing of external.metrics.k8s.io can be read again"


def test_listing_is_renewed_in_the_background(make_proxy: MakeProxy, other: OtherServer) -> None:
    """One thread, from start to stop; the first reader of an empty one waits for nothing."""
    other.answer = by_path(v2=reply(200, listing(V2, "pods/a")), external=reply(200, listing(EXTERNAL)))
    proxy = make_proxy(listInterval="1s")
    assert listed(proxy) == ([], [])
    proxy.start()
    wait_until(lambda: listed(proxy) == (["pods/a(namespaced)"], []), 10, "it was not listed")
    other.answer = by_path(v2=reply(200, listing(V2, "pods/b")), external=reply(200, listing(EXTERNAL, "queue")))
    wait_until(lambda: listed(proxy) == (["pods/b(namespaced)"], ["queue"]), 10, "it was not listed again")
    proxy.stop()
    asked = len(other.requests)
    assert not proxy._listing._background.alive
    assert list(proxy.list_all_external_metrics()) == [ExternalMetricInfo("queue")]
    assert len(other.requests) == asked
