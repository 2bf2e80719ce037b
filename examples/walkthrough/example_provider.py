"""Metrics that grow with every read."""

import threading

from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    GroupResource,
    MetricNotFoundError,
    Quantity,
    list_object_names,
    metric_value,
)

METRICS = (
    CustomMetricInfo(GroupResource("pods"), "packets-per-second", namespaced=True),
    CustomMetricInfo(GroupResource("services"), "connections-per-second", namespaced=True),
    CustomMetricInfo(GroupResource("namespaces"), "work-queue-length", namespaced=False),
)


class ExampleProvider(CustomMetricsProvider):
    def __init__(self, context, options):
        super().__init__(context, options)
        self.lock = threading.Lock()
        self.counters = dict.fromkeys(METRICS, 0)

    def list_all_metrics(self):
        return METRICS

    def fetch(self, info):
        with self.lock:
            if info not in self.counters:
                return None
            self.counters[info] += 1
            return self.counters[info]

    def get_metric_by_name(self, ctx, name, info, metric_selector):
        counter = self.fetch(info)
        if counter is None:
            raise MetricNotFoundError(info.group_resource, info.metric, name.name)
        return metric_value(self.context, name, info, Quantity.from_milli(100 * counter))

    def get_metric_by_selector(self, ctx, namespace, selector, info, metric_selector):
        counter = self.fetch(info)
        if counter is None:
            return []
        names = list_object_names(self.context, ctx, namespace, selector, info)
        return [
            metric_value(self.context, name, info, Quantity.from_milli(100 * (100 * counter // len(names))))
            for name in names
        ]
