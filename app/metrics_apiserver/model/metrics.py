"""What is asked for and what is answered: the metric infos and the metric values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import GroupResource, ObjectReference
from metrics_apiserver.model.selectors import LabelSelector

__all__ = ["CustomMetricInfo", "ExternalMetricInfo", "ExternalMetricValue", "MetricIdentifier", "MetricValue"]


@dataclass(frozen=True, slots=True, order=True)
class CustomMetricInfo:
    """A custom metric of a kind of object (upstream `provider.CustomMetricInfo`).

    `namespaced` is the scope of the path it was asked under, not a property of the resource. What reaches a
    provider is normalised: the resource is the plural with its group.
    """

    group_resource: GroupResource
    metric: str
    namespaced: bool

    def __str__(self) -> str:
        scope = "namespaced" if self.namespaced else "root"
        return f"{self.group_resource}/{self.metric}({scope})"


@dataclass(frozen=True, slots=True, order=True)
class ExternalMetricInfo:
    """An external metric (upstream `provider.ExternalMetricInfo`)."""

    metric: str


@dataclass(frozen=True, slots=True)
class MetricIdentifier:
    """The metric of a value, and the series selector that narrowed it, if one did (`v1beta2.MetricIdentifier`)."""

    name: str
    selector: LabelSelector | None = None


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One value of a custom metric for one object (`custom_metrics.MetricValue`).

    `timestamp` is when the sample was taken and has a time zone; `window_seconds` is the time it spans, None when
    unknown.
    """

    described_object: ObjectReference
    metric: MetricIdentifier
    timestamp: datetime
    value: Quantity
    window_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class ExternalMetricValue:
    """One value of an external metric, told apart by its labels (`external_metrics.ExternalMetricValue`).

    Labels None are none, as {} are, and `null` in the answer, where Go has a map that nobody made.
    """

    metric_name: str
    timestamp: datetime
    value: Quantity
    metric_labels: Mapping[str, str] | None = field(default_factory=dict)
    window_seconds: int | None = None
