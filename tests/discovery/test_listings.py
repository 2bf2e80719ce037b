"""The listing in the background: merged, sorted, capped, and kept when a provider fails."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.discovery import Discovery, Listed
from metrics_apiserver.dispatch.matching import Matcher
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.model.metrics import CustomMetricInfo
from metrics_apiserver.settings import MatchSettings
from metrics_apiserver.telemetry import Telemetry
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER, TableProvider, cluster, info

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"


@pytest.fixture(name="discover")
def _discover() -> Iterator[Callable[..., Discovery]]:
    """Start discovery of these providers; stopped at the end."""
    started = []

    def discover(
        *providers: Any, limit: int = 2000, mapper: Any = None, telemetry: Telemetry | None = None
    ) -> Discovery:
        discovery = Discovery(
            [Listed(f"provider-{number}", provider) for number, provider in enumerate(providers)],
            mapper=mapper or cluster().mapper,
            limit=limit,
            telemetry=telemetry or Telemetry(CollectorRegistry()),
            logger=LOGGER,
            interval=0.02,
        )
        discovery.start()
        started.append(discovery)
        return discovery

    yield discover
    for discovery in started:
        discovery.stop()


def listed(discovery: Discovery, path: str = CUSTOM) -> list[str]:
    return [entry["name"] for entry in discovery.documents.by_path[path]["resources"]]


class Failing(TableProvider):
    """Lists as it is told, until it is told to fail."""

    failure: Exception | None = None

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        if self.failure is not None:
            raise self.failure
        return super().list_all_metrics()


class Hanging(TableProvider):
    """Never comes back from its listing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        self.released.wait()
        return ()


def test_listings_are_merged_sorted_and_normalised(discover: Callable[..., Discovery]) -> None:
    """Names of the same resource are one; the order does not depend on the providers'."""
    discovery = discover(
        TableProvider(listing=[info("pods", "b"), info("pod", "a")], external_listing=["z", "a"]),
        TableProvider(listing=[info("deployments", "q"), info("pods", "a")], external_listing=["a", "m"]),
    )
    wait_until(lambda: len(listed(discovery)) == 3, timeout=5, message="not every listing was merged")
    assert listed(discovery) == ["deployments.apps/q", "pods/a", "pods/b"]
    assert listed(discovery, EXTERNAL) == ["a", "m", "z"]


@pytest.mark.parametrize("namespaced_first", [True, False], ids=["namespaced first", "root first"])
def test_first_owner_of_a_name_wins(discover: Callable[..., Discovery], namespaced_first: bool) -> None:
    """One entry a name: that of the provider which is asked first."""
    order = [
        TableProvider(listing=[info("pods", "rps", namespaced=namespaced_first)]),
        TableProvider(listing=[info("pods", "rps", namespaced=not namespaced_first)]),
    ]
    discovery = discover(*order)
    wait_until(lambda: listed(discovery) == ["pods/rps"], timeout=5, message="nothing was listed")
    discovery.refresh_soon()
    assert discovery.documents.by_path[CUSTOM]["resources"][0]["namespaced"] is namespaced_first


def test_resource_that_the_cluster_does_not_have_is_not_listed(discover: Callable[..., Discovery]) -> None:
    """No path could name it."""
    discovery = discover(TableProvider(listing=[info("nonsense", "x"), info("pods", "rps")]))
    assert listed(discovery) == ["pods/rps"]


@pytest.mark.parametrize(
    "failure", [RuntimeError("bug"), ServiceUnavailableError("down")], ids=["a bug", "the cluster is away"]
)
def test_failing_provider_keeps_its_last_list(discover: Callable[..., Discovery], failure: Exception) -> None:
    """A failure costs nothing that was known; the list follows again when it is over."""
    failing, healthy = Failing(listing=[info("pods", "rps")]), TableProvider()
    discovery = discover(failing, healthy)
    assert listed(discovery) == ["pods/rps"]
    failing.failure = failure
    healthy.listing = [info("services", "rps")]
    wait_until(lambda: len(listed(discovery)) == 2, timeout=5, message="the healthy provider was not followed")
    assert listed(discovery) == ["pods/rps", "services/rps"]
    failing.failure, failing.listing = None, [info("pods", "other")]
    wait_until(lambda: "pods/other" in listed(discovery), timeout=5, message="the provider was not asked again")


def test_hanging_provider_delays_nobody(discover: Callable[..., Discovery]) -> None:
    """Its thread hangs, the others' do not, and the documents are there all the time."""
    hanging = Hanging()
    discovery = discover(hanging, TableProvider(listing=[info("pods", "rps")]))
    assert listed(discovery) == ["pods/rps"]
    hanging.released.set()


@pytest.mark.parametrize(
    ("count", "limit", "shown", "cut"), [(3, 3, 3, 0), (4, 3, 3, 1)], ids=["at the limit", "one past it"]
)
def test_limit(discover: Callable[..., Discovery], count: int, limit: int, shown: int, cut: int) -> None:
    """What is past the limit is cut from the end of the sorted list, and counted."""
    telemetry = Telemetry(CollectorRegistry())
    discovery = discover(
        TableProvider(listing=[info("pods", f"m{number}") for number in reversed(range(count))]),
        limit=limit,
        telemetry=telemetry,
    )
    assert listed(discovery) == [f"pods/m{number}" for number in range(shown)]
    sample = {"group": "custom.metrics.k8s.io"}
    assert telemetry.registry.get_sample_value("metrics_apiserver_discovery_cut_metrics", sample) == cut


def test_replaced_providers_are_listed_and_the_old_ones_no_more(discover: Callable[..., Discovery]) -> None:
    """One stays, one goes, and one is new; the order is that of the new list."""
    stays, goes = TableProvider(listing=[info("pods", "a")]), TableProvider(listing=[info("pods", "b")])
    new = TableProvider(listing=[info("pods", "c"), info("pods", "a", namespaced=False)])
    discovery = discover(stays, goes)
    wait_until(lambda: listed(discovery) == ["pods/a", "pods/b"], timeout=5, message="nothing was listed")
    discovery.replace([Listed("new", new), Listed("provider-0", stays)])
    wait_until(lambda: listed(discovery) == ["pods/a", "pods/c"], timeout=5, message="the new one is not listed")
    assert discovery.documents.by_path[CUSTOM]["resources"][0]["namespaced"] is False
    goes.listing = [info("pods", "d")]
    stays.listing = [info("pods", "e")]
    wait_until(lambda: "pods/e" in listed(discovery), timeout=5, message="the one that stays is not followed")
    assert "pods/d" not in listed(discovery)
    wait_until(
        lambda: not any(thread.name == "listing-provider-1" for thread in threading.enumerate()),
        timeout=5,
        message="the thread of the one that went runs on",
    )


def test_successor_of_a_name_begins_with_what_was_listed(discover: Callable[..., Discovery]) -> None:
    """A reload is no moment without metrics: a client that looks then would forget them."""
    discovery = discover(TableProvider(listing=[info("pods", "a")]))
    assert listed(discovery) == ["pods/a"]
    hanging = Hanging()
    discovery.replace([Listed("provider-0", hanging)])
    assert listed(discovery) == ["pods/a"]
    hanging.released.set()
    wait_until(lambda: "pods/a" not in listed(discovery), timeout=5, message="the new listing is not taken over")


def test_listing_without_an_end_is_cut(discover: Callable[..., Discovery]) -> None:
    """A generator that never stops fills no memory and hangs nothing."""

    class Endless(TableProvider):
        def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
            return (info("pods", f"m{number % 10}") for number in itertools.count())

    discovery = discover(Endless())
    wait_until(lambda: len(listed(discovery)) == 10, timeout=20, message="the endless listing was not read")


def test_what_a_provider_is_not_asked_for_is_not_listed(discover: Callable[..., Discovery]) -> None:
    """Its `match` narrows what is listed, also once it is another one."""
    provider = TableProvider(listing=[info("pods", "a"), info("pods", "b")])
    discovery = discover(provider)
    wait_until(lambda: listed(discovery) == ["pods/a", "pods/b"], timeout=5, message="nothing was listed")
    only_a = Matcher([MatchSettings(metrics=("a",))])
    discovery.replace([Listed("provider-0", provider, only_a.lists)])
    assert listed(discovery) == ["pods/a"]
    discovery.replace([Listed("provider-0", provider)])
    assert listed(discovery) == ["pods/a", "pods/b"]
