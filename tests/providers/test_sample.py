"""The walkthrough's values: what is shipped as `sample`, and the page's own example, which answers the same."""

from __future__ import annotations

import dataclasses
import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.model import selectors
from metrics_apiserver.provider import CustomMetricInfo, CustomMetricsProvider, MetricNotFoundError, NamespacedName
from metrics_apiserver_providers.sample import METRICS, SampleProvider
from tests.fakes import NOON, info, provider_context, request_context

EXAMPLE = Path(__file__).parents[2] / "examples" / "walkthrough" / "example_provider.py"
PACKETS, CONNECTIONS, QUEUE = METRICS
EVERYTHING = selectors.EVERYTHING


@pytest.fixture(name="provider", params=["sample", "example"])
def _provider(request: pytest.FixtureRequest) -> CustomMetricsProvider:
    kind = SampleProvider if request.param == "sample" else runpy.run_path(str(EXAMPLE))["ExampleProvider"]
    provider: CustomMetricsProvider = kind(provider_context(), {})
    return provider


def by_name(provider: CustomMetricsProvider, metric: CustomMetricInfo = PACKETS, name: str = "cart-0") -> str:
    asked = NamespacedName("shop" if metric.namespaced else "", name)
    return str(provider.get_metric_by_name(request_context(), asked, metric, EVERYTHING).value)


def by_selector(provider: CustomMetricsProvider, selector: str = "", metric: CustomMetricInfo = PACKETS) -> list[str]:
    namespace = "shop" if metric.namespaced else ""
    found = provider.get_metric_by_selector(request_context(), namespace, selectors.parse(selector), metric, EVERYTHING)
    return [f"{value.described_object.name}={value.value}" for value in found]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param("app", ["cart-0=3300m", "cart-1=3300m", "db-0=3300m"], id="three pods: rounded down to 33 tenths"),
        pytest.param("app=cart", ["cart-0=5", "cart-1=5"], id="two pods: 50 tenths"),
        pytest.param("app=db", ["db-0=10"], id="one pod: all of it"),
        pytest.param("app=none", [], id="nothing matches"),
    ],
)
def test_first_read_by_selector(provider: CustomMetricsProvider, selector: str, expected: list[str]) -> None:
    """A hundred tenths are shared among the objects."""
    assert by_selector(provider, selector) == expected


def test_every_fetch_adds_one_to_its_own_metric(provider: CustomMetricsProvider) -> None:
    """By name and by selector alike, also when nothing matches; the other metrics stay where they are."""
    assert [by_name(provider), by_name(provider, name="nobody")] == ["100m", "200m"]
    assert by_selector(provider) == ["cart-0=10", "cart-1=10", "db-0=10"]
    assert by_selector(provider, "app=none") == []
    assert by_name(provider) == "500m"
    assert by_name(provider, CONNECTIONS, "cart") == "100m"
    assert by_name(provider, QUEUE, "shop") == "100m"
    assert by_selector(provider, metric=QUEUE) == ["shop=20"]


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(info("pods", "other"), id="another metric"),
        pytest.param(info("services", "packets-per-second"), id="the metric of another resource"),
        pytest.param(info("pods", "packets-per-second", namespaced=False), id="another scope"),
    ],
)
def test_only_three_metrics_are_known(provider: CustomMetricsProvider, unknown: CustomMetricInfo) -> None:
    """What is not known is not found, or an empty list, and not counted."""
    for _ in range(2):
        with pytest.raises(MetricNotFoundError, match=f"the metric {unknown.metric} for {unknown.group_resource} x"):
            by_name(provider, unknown, "x")
        assert by_selector(provider, metric=unknown) == []
    assert list(provider.list_all_metrics()) == list(METRICS)
    assert by_name(provider) == "100m"


def test_sample_is_taken_at_the_read(provider: CustomMetricsProvider) -> None:
    """The time is the clock's; the object is named as the cluster knows it."""
    value = provider.get_metric_by_name(request_context(), NamespacedName("shop", "cart-0"), PACKETS, EVERYTHING)
    assert value.timestamp == NOON
    assert (value.described_object.kind, value.described_object.api_version) == ("Pod", "/v1")


def test_every_read_of_sixteen_threads_sees_a_value_of_its_own(provider: CustomMetricsProvider) -> None:
    """No count is given twice, none is lost."""
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: by_name(provider), range(2000)))
    assert len(set(seen)) == 2000
    assert by_name(provider) == "200100m"


def test_cluster_that_does_not_answer_is_no_empty_list(provider: CustomMetricsProvider) -> None:
    """The autoscaler must not take it for "no pods"."""

    class Unreachable:
        def list_names(self, *_: object, **__: object) -> None:
            raise ServiceUnavailableError("no answer")

    provider.context = dataclasses.replace(provider.context, objects=Unreachable())
    with pytest.raises(ServiceUnavailableError):
        by_selector(provider)
