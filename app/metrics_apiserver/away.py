"""A provider that could not begin when a worker took the place of another: the rest of the server serves without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from metrics_apiserver.errors import BackendUnavailableError
from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    MetricValue,
    NamespacedName,
    ProviderContext,
    RequestContext,
    Selector,
)

__all__ = ["AwayProvider"]


class AwayProvider(CustomMetricsProvider, ExternalMetricsProvider):
    """Stands where it would be: what it would be asked for is 503, and nobody behind it answers instead.

    `reason` says why, for the log and for `/debug`: it may quote what the provider raised.
    """

    answers_from_memory = True

    def __init__(self, context: ProviderContext, reason: str) -> None:
        super().__init__(context, {})
        self.reason = reason

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Raise BackendUnavailableError."""
        self._raise()

    def get_metric_by_selector(
        self,
        ctx: RequestContext,
        namespace: str,
        selector: Selector,
        info: CustomMetricInfo,
        metric_selector: Selector,
    ) -> Sequence[MetricValue]:
        """Raise BackendUnavailableError."""
        self._raise()

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        """Raise BackendUnavailableError."""
        self._raise()

    def _raise(self) -> NoReturn:
        name = self.context.name
        raise BackendUnavailableError(
            f"provider {name} is away: it could not be started again, and is tried from time to time", cause=self.reason
        )
