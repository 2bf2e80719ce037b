"""Made-up values that grow with every read, after upstream's getting-started walkthrough (docs/walkthrough.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    GroupResource,
    MetricNotFoundError,
    MetricValue,
    NamespacedName,
    ProviderContext,
    Quantity,
    RequestContext,
    Selector,
    list_object_names,
    metric_value,
)

__all__ = ["SampleProvider"]

METRICS = (
    CustomMetricInfo(GroupResource("pods"), "packets-per-second", namespaced=True),
    CustomMetricInfo(GroupResource("services"), "connections-per-second", namespaced=True),
    CustomMetricInfo(GroupResource("namespaces"), "work-queue-length", namespaced=False),
)


class SampleProvider(CustomMetricsProvider):
    """Knows three metrics and counts their fetches; any object has them, and as upstream's it knows no series."""

    answers_from_memory = True

    def __init__(self, context: ProviderContext, options: Mapping[str, Any]) -> None:
        super().__init__(context, options)
        self._lock = threading.Lock()
        self._fetches = dict.fromkeys(METRICS, 0)

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        """Name the three metrics."""
        return METRICS

    def series_count(self, info: CustomMetricInfo | ExternalMetricInfo, namespace: str) -> int:
        """Return one: it knows no series."""
        return 1

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Return a tenth for each fetch so far."""
        count = self._fetch(info)
        if not count:
            raise MetricNotFoundError(info.group_resource, info.metric, name.name)
        return metric_value(self.context, name, info, Quantity.from_milli(100 * count))

    def get_metric_by_selector(
        self,
        ctx: RequestContext,
        namespace: str,
        selector: Selector,
        info: CustomMetricInfo,
        metric_selector: Selector,
    ) -> Sequence[MetricValue]:
        """Share ten for each fetch so far among the objects; a read is one fetch, whatever it matches."""
        count = self._fetch(info)
        if not count:
            return []
        names = list_object_names(self.context, ctx, namespace, selector, info)
        # Rounded down before it becomes tenths, as upstream does it: 3 pods get 33 tenths each at the first read.
        return [
            metric_value(self.context, name, info, Quantity.from_milli(100 * (100 * count // len(names))))
            for name in names
        ]

    def _fetch(self, info: CustomMetricInfo) -> int:
        """Count one fetch, and return the count that is this fetch's own; 0 for an unknown metric."""
        with self._lock:
            if info not in self._fetches:
                return 0
            self._fetches[info] += 1
            return self._fetches[info]
