"""Serves what was written through `/write-metrics`; the values live in this process's memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, validates, validates_schema

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
    Options,
    ProviderContext,
    Quantity,
    QuantityField,
    RequestContext,
    RequestTooLargeError,
    Selector,
    WritableMetrics,
    list_object_names,
    metric_value,
)
from metrics_apiserver_providers.external_names import refuse_alike

__all__ = ["WritableOptions", "WritableProvider"]

MAX_VALUES = 100_000
EVERY_NAMESPACE = "*"

# The three series that upstream's test adapter has from the start.
_REFERENCE_SERIES: tuple[tuple[str, dict[str, str], int], ...] = (
    ("my-external-metric", {"foo": "bar"}, 42),
    ("my-external-metric", {"foo": "baz"}, 43),
    ("other-external-metric", {}, 44),
)

_CustomKey = tuple[NamespacedName, CustomMetricInfo]
# The namespace it was written for, and the label set.
_ExternalKey = tuple[str, frozenset[tuple[str, str]]]
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class _Sample:
    """A written value: replaced as a whole, so that a reader never sees half a write."""

    value: Quantity
    timestamp: datetime
    labels: Mapping[str, str]


class _ValueSchema(Schema):
    """A value of the configuration; without a resource it is of an external metric."""

    metric = fields.String(required=True, metadata={"help": "The metric's name."})
    value = QuantityField(required=True, metadata={"help": "A quantity."})
    resource = fields.String(metadata={"help": "The plural with its group; without it the metric is external."})
    name = fields.String(metadata={"help": "The object's name; goes with `resource`."})
    namespace = fields.String(
        load_default="", metadata={"help": "Without it an object is root-scoped, an external value of every namespace."}
    )
    labels = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        load_default=dict,
        metadata={"help": "The labels of the series."},
    )

    @validates_schema
    def _names_one_object(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("resource" in data) != ("name" in data):
            raise ValidationError("resource and name belong together: a custom metric has both, an external neither")


class WritableOptions(Options):
    """`values`: what is there from the start, before anything is written."""

    values = fields.List(
        fields.Nested(_ValueSchema), load_default=list, metadata={"help": "What is there from the start."}
    )

    @validates("values")
    def _has_no_name_twice(self, values: Sequence[Mapping[str, Any]], **_: Any) -> None:
        # A row that is wrong itself may have none.
        refuse_alike(row["metric"] for row in values if "metric" in row and "resource" not in row)


class WritableProvider(CustomMetricsProvider, ExternalMetricsProvider, WritableMetrics):
    """One value per object and metric; external values are told apart by their labels as well."""

    Options = WritableOptions
    answers_from_memory = True

    def __init__(self, context: ProviderContext, options: Mapping[str, Any]) -> None:
        super().__init__(context, options)
        # Readers take no lock: a dict's get and set are atomic, and a sample is never changed.
        self._lock = threading.Lock()
        self._custom: dict[_CustomKey, _Sample] = {}
        self._external: dict[str, dict[_ExternalKey, _Sample]] = {}
        # The names of those, by the name in lower case; it is asked in lower case by the autoscaler.
        self._by_lower: dict[str, tuple[str, ...]] = {}
        self._held = 0
        for metric, labels, value in _REFERENCE_SERIES:
            self._set_external(EVERY_NAMESPACE, ExternalMetricInfo(metric), labels, Quantity.of(value))
        for row in options["values"]:
            self._set_configured(row)

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        """Name every metric that has a value."""
        with self._lock:
            keys = list(self._custom)
        return {info for _, info in keys}

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        """Name every external metric that has a value."""
        with self._lock:
            return [ExternalMetricInfo(metric) for metric in self._external]

    def series_count(self, info: CustomMetricInfo | ExternalMetricInfo, namespace: str) -> int:
        """Return how many label sets of an external metric were written; an object has one value."""
        return len(self._external.get(self._named(info.metric), ())) if isinstance(info, ExternalMetricInfo) else 1

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Return the written value, if its labels match."""
        value = self._value(name, info, metric_selector)
        if value is None:
            raise MetricNotFoundError(info.group_resource, info.metric, name.name, metric_selector)
        return value

    def get_metric_by_selector(
        self,
        ctx: RequestContext,
        namespace: str,
        selector: Selector,
        info: CustomMetricInfo,
        metric_selector: Selector,
    ) -> Sequence[MetricValue]:
        """Return the written value of every matching object that has one."""
        names = list_object_names(self.context, ctx, namespace, selector, info)
        values = (self._value(name, info, metric_selector) for name in names)
        return [value for value in values if value is not None]

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        """Return the series of this namespace and of every namespace, in the order they were first written."""
        with self._lock:
            series = self._external.get(self._named(info.metric), {})
            # Not pairs, of which the garbage collector would count one for each series, and stop everybody to look.
            keys, samples = list(series), list(series.values())
        return [
            ExternalMetricValue(info.metric, sample.timestamp, sample.value, metric_labels=sample.labels)
            for sample in _seen_from(namespace, keys, samples)
            if metric_selector.matches(sample.labels)
        ]

    def set_metric(
        self,
        ctx: RequestContext,
        name: NamespacedName,
        info: CustomMetricInfo,
        labels: Mapping[str, str],
        value: Quantity,
    ) -> None:
        """Replace the value of this object's metric, its labels with it."""
        self._set(name, info, labels, value)

    def delete_metric(self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo) -> None:
        """Forget the value of this object's metric."""
        with self._lock:
            if self._custom.pop((name, info), None) is None:
                raise MetricNotFoundError(info.group_resource, info.metric, name.name)
            self._held -= 1

    def set_external_metric(
        self, ctx: RequestContext, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        """Replace the value of this label set in this namespace."""
        self._set_external(namespace, info, labels, value)

    def delete_external_metric(
        self, ctx: RequestContext, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str]
    ) -> None:
        """Forget the value of this label set in this namespace."""
        key = (namespace, frozenset(labels.items()))
        with self._lock:
            series = self._external.get(info.metric, {})
            if series.pop(key, None) is None:
                raise MetricNotFoundError("namespace", info.metric, namespace)
            self._held -= 1
            if not series:
                del self._external[info.metric]
                self._write_name(info.metric, there=False)

    def _named(self, metric: str) -> str:
        """Return the name as it was written: exactly, or else the first of those that differ in case only."""
        if metric in self._external:
            return metric
        return next(iter(self._by_lower.get(metric.lower(), ())), metric)

    def _write_name(self, metric: str, *, there: bool) -> None:
        """Keep the name of an external metric that is there now, or is no more; under the lock."""
        lower = metric.lower()
        names = {*self._by_lower.pop(lower, ())} - {metric} | ({metric} if there else set())
        if names:
            # Replaced as a whole: readers take no lock.
            self._by_lower[lower] = tuple(sorted(names))

    def _value(self, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector) -> MetricValue | None:
        sample = self._custom.get((name, info))
        if sample is None or not metric_selector.matches(sample.labels):
            return None
        return metric_value(self.context, name, info, sample.value, timestamp=sample.timestamp)

    def _set(self, name: NamespacedName, info: CustomMetricInfo, labels: Mapping[str, str], value: Quantity) -> None:
        sample = self._sample(value, labels)
        with self._lock:
            self._put(self._custom, (name, info), sample)

    def _set_external(
        self, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        sample = self._sample(value, labels)
        key = (namespace, frozenset(labels.items()))
        with self._lock:
            series = self._external.get(info.metric, {})
            self._put(series, key, sample)
            if info.metric not in self._external:
                self._external[info.metric] = series
                self._write_name(info.metric, there=True)

    def _sample(self, value: Quantity, labels: Mapping[str, str]) -> _Sample:
        return _Sample(value, self.context.clock.now(), dict(labels))

    def _put(self, values: dict[_Key, _Sample], key: _Key, sample: _Sample) -> None:
        if key not in values:
            if self._held >= MAX_VALUES:
                raise RequestTooLargeError(
                    f"{MAX_VALUES} values are held, which is the most; delete one to write another"
                )
            self._held += 1
        values[key] = sample

    def _set_configured(self, row: Mapping[str, Any]) -> None:
        value = row["value"]
        if "resource" not in row:
            namespace = row["namespace"] or EVERY_NAMESPACE
            self._set_external(namespace, ExternalMetricInfo(row["metric"]), row["labels"], value)
            return
        # The mapper may know nothing yet (it waits for the cluster): written as it stands, plural name expected.
        resource = GroupResource.parse(row["resource"])
        info = CustomMetricInfo(resource, row["metric"], namespaced=bool(row["namespace"]))
        self._set(NamespacedName(row["namespace"], row["name"]), info, row["labels"], value)


def _seen_from(namespace: str, keys: Sequence[_ExternalKey], samples: Sequence[_Sample]) -> Iterable[_Sample]:
    """Pick the series that a namespace sees; what was written for it hides the same labels of every namespace.

    The autoscaler adds up all it gets: the same label set twice would count twice.
    """
    if namespace == EVERY_NAMESPACE:
        return samples
    own = {labels for written_for, labels in keys if written_for == namespace}
    return [
        sample
        for (written_for, labels), sample in zip(keys, samples, strict=True)
        if written_for == namespace or (written_for == EVERY_NAMESPACE and labels not in own)
    ]
