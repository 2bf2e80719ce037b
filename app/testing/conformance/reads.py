"""Reads of what an author declared, with the contract's own methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.model import selectors
from app.model.selectors import Selector
from app.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    NamespacedName,
    RequestContext,
)
from app.testing.declared import CustomMetric, ExternalMetric

__all__ = ["UNKNOWN_METRIC", "CustomReads", "ExternalReads"]

UNKNOWN_METRIC = "conformance-no-such-metric"


@dataclass(frozen=True, slots=True)
class CustomReads:
    """Reads of the declared custom metric, or of one that nobody has. What is given is the provider's, unchecked."""

    provider: CustomMetricsProvider
    declared: CustomMetric
    ctx: RequestContext

    def by_name(self, name: str, series: Selector = selectors.EVERYTHING, *, unknown: bool = False) -> Any:
        """Read one object's."""
        asked = NamespacedName(self.declared.namespace, name)
        return self.provider.get_metric_by_name(self.ctx, asked, self._info(unknown=unknown), series)

    def by_selector(self, label: str, series: Selector = selectors.EVERYTHING, *, unknown: bool = False) -> Any:
        """Read that of all objects with a label `conformance`."""
        objects = selectors.parse(f"conformance={label}")
        namespace = self.declared.namespace
        return self.provider.get_metric_by_selector(self.ctx, namespace, objects, self._info(unknown=unknown), series)

    def _info(self, *, unknown: bool) -> CustomMetricInfo:
        info = self.declared.info
        return CustomMetricInfo(info.group_resource, UNKNOWN_METRIC, info.namespaced) if unknown else info


@dataclass(frozen=True, slots=True)
class ExternalReads:
    """Reads of the declared external metric, or of one that nobody has. What is given is the provider's, unchecked."""

    provider: ExternalMetricsProvider
    declared: ExternalMetric
    ctx: RequestContext

    def read(self, series: Selector = selectors.EVERYTHING, *, unknown: bool = False) -> Any:
        """Read all series that match."""
        info = ExternalMetricInfo(UNKNOWN_METRIC if unknown else self.declared.metric)
        return self.provider.get_external_metric(self.ctx, self.declared.namespace, series, info)
