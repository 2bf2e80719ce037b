"""Reads of what an author declared, with the contract's own methods."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from metrics_apiserver.model import selectors
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    NamespacedName,
    RequestContext,
)
from metrics_apiserver.testing.conformance.running import in_time
from metrics_apiserver.testing.declared import CustomMetric, ExternalMetric

__all__ = ["UNKNOWN_METRIC", "CustomReads", "ExternalReads"]

UNKNOWN_METRIC = "conformance-no-such-metric"


@dataclass(frozen=True, slots=True)
class CustomReads:
    """Reads of the declared custom metric, or of one that nobody has. What is given is the provider's, unchecked."""

    provider: CustomMetricsProvider
    declared: CustomMetric
    ctx: RequestContext
    patience: float

    def by_name(self, name: str, series: Selector = selectors.EVERYTHING, *, unknown: bool = False) -> Any:
        """Read one object's."""
        asked = NamespacedName(self.declared.namespace, name)
        info = self._info(unknown=unknown)
        return _in_time(partial(self.provider.get_metric_by_name, self.ctx, asked, info, series), self.patience)

    def by_selector(self, label: str, series: Selector = selectors.EVERYTHING, *, unknown: bool = False) -> Any:
        """Read that of all objects with a label `conformance`."""
        objects = selectors.parse(f"conformance={label}")
        namespace = self.declared.namespace
        info = self._info(unknown=unknown)
        read = partial(self.provider.get_metric_by_selector, self.ctx, namespace, objects, info, series)
        return _in_time(read, self.patience)

    def _info(self, *, unknown: bool) -> CustomMetricInfo:
        info = self.declared.info
        return CustomMetricInfo(info.group_resource, UNKNOWN_METRIC, info.namespaced) if unknown else info


@dataclass(frozen=True, slots=True)
class ExternalReads:
    """Reads of the declared external metric, or of one that nobody has. What is given is the provider's, unchecked."""

    provider: ExternalMetricsProvider
    declared: ExternalMetric
    ctx: RequestContext
    patience: float

    def read(self, series: Selector = selectors.EVERYTHING, *, unknown: bool = False) -> Any:
        """Read all series that match."""
        info = ExternalMetricInfo(UNKNOWN_METRIC if unknown else self.declared.metric)
        namespace = self.declared.namespace
        return _in_time(partial(self.provider.get_external_metric, self.ctx, namespace, series, info), self.patience)


def _in_time(read: Callable[[], Any], patience: float) -> Any:
    """Return what a read gives, or raise what it raises; one that hangs must not keep the tests for ever."""
    if threading.current_thread() is not threading.main_thread():
        # Whoever started this thread watches the time.
        return read()
    message = f"a read with enough time is still under way after {patience:g} s"
    outcome = in_time(read, patience, message, name="conformance-read")
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
