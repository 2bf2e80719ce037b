"""Small real classes that stand in for a cluster, a clock and providers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from metrics_apiserver.kube.manifests import load_objects
from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    GroupResource,
    MetricNotFoundError,
    MetricValue,
    NamespacedName,
    ProviderContext,
    RequestContext,
    Selector,
    metric_value,
)
from tests.conformance.recorded import CLUSTER_YAML

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
LOGGER = logging.getLogger("metrics_apiserver.tests")


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOON
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds


def cluster() -> StandaloneCluster:
    """The objects of the recorded cluster."""
    return StandaloneCluster(load_objects(CLUSTER_YAML))


def provider_context(name: str = "test") -> ProviderContext:
    here = cluster()
    return ProviderContext(
        name=name,
        mapper=here.mapper,
        objects=here.objects,
        clock=FakeClock(),
        logger=LOGGER,
        metrics_registry=CollectorRegistry(),
    )


def request_context() -> RequestContext:
    clock = FakeClock()
    return RequestContext(deadline=clock.seconds + 1, audit_id="test", clock=clock, logger=LOGGER)


def info(resource: str, metric: str, *, namespaced: bool = True) -> CustomMetricInfo:
    return CustomMetricInfo(GroupResource.parse(resource), metric, namespaced)


class TableProvider(CustomMetricsProvider, ExternalMetricsProvider):
    """Answers from a table: (object, metric) → value, and metric → values; lists what it is told to list."""

    def __init__(
        self,
        values: Mapping[tuple[str, str], Any] | None = None,
        external: Mapping[str, Sequence[Any]] | None = None,
        *,
        listing: Iterable[CustomMetricInfo] = (),
        external_listing: Iterable[str] = (),
    ) -> None:
        super().__init__(provider_context(), {})
        self.values = dict(values or {})
        self.external = dict(external or {})
        self.listing = listing
        self.external_listing = external_listing
        self.asked: list[Any] = []

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        return self.listing

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        return [ExternalMetricInfo(name) for name in self.external_listing]

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        self.asked.append((name, info))
        value = self.values.get((name.name, info.metric))
        if value is None:
            raise MetricNotFoundError(info.group_resource, info.metric, name.name, metric_selector)
        if isinstance(value, BaseException):
            raise value
        return metric_value(self.context, name, info, value)

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        values = self.external.get(info.metric, [])
        if isinstance(values, BaseException):
            raise values
        return [ExternalMetricValue(info.metric, NOON, value) for value in values]
