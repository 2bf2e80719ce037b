"""Asks the providers in order: what one does not have, the next may; any other failure stops."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from app.errors import MetricNotFoundError, NotFoundError
from app.model.clock import Clock
from app.model.metrics import CustomMetricInfo, ExternalMetricInfo, ExternalMetricValue, MetricValue
from app.model.quantity import Quantity
from app.model.resources import NamespacedName
from app.provider import (
    CustomMetricsProvider,
    ExternalMetricsProvider,
    Provider,
    RequestContext,
    RESTMapper,
    WritableMetrics,
)
from app.query import CustomMetricQuery, ExternalMetricQuery

__all__ = ["Router"]

# Which provider had the values, for whom needs to know why an answer is what it is (-v 4).
_ANSWERED, _PASSED = "audit-id %s: provider %s answers for %s", "audit-id %s: provider %s has nothing for %s"


class Router:
    """The providers, in the order of the configuration."""

    def __init__(
        self,
        providers: Sequence[tuple[str, Provider]],
        *,
        mapper: RESTMapper,
        clock: Clock,
        logger: logging.Logger,
        seconds: float,
    ) -> None:
        """Make it; `seconds` is what a read may take."""
        self._custom = [(name, each) for name, each in providers if isinstance(each, CustomMetricsProvider)]
        self._external = [(name, each) for name, each in providers if isinstance(each, ExternalMetricsProvider)]
        self._writable = next((provider for _, provider in providers if isinstance(provider, WritableMetrics)), None)
        self._mapper = mapper
        self._clock = clock
        self._logger = logger
        self._seconds = seconds

    def read_custom(self, query: CustomMetricQuery, *, audit_id: str) -> Sequence[MetricValue]:
        """Answer a read of a custom metric; a by-name answer has exactly one value.

        Raises StatusError, or whatever a provider raises.
        """
        info = self._normalised(query.info)
        context = self._context(audit_id)
        if query.name is not None:
            values: Sequence[MetricValue] = [self._by_name(query, info, context)]
        else:
            values = self._by_selector(query, info, context)
        if query.metric_label_selector is None:
            return values
        return [_echoing(value, query) for value in values]

    def read_external(self, query: ExternalMetricQuery, *, audit_id: str) -> Sequence[ExternalMetricValue]:
        """Answer a read of an external metric; an unknown one has no values."""
        context = self._context(audit_id)
        for owner, provider in self._external:
            values = provider.get_external_metric(context, query.namespace, query.metric_selector, query.info)
            self._logger.debug(_ANSWERED if values else _PASSED, audit_id, owner, query.info.metric)
            if values:
                return values
        return []

    def write_custom(
        self, name: NamespacedName, info: CustomMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        """Write the value of one object's metric. Raises StatusError."""
        self._writer().set_metric(name, self._normalised(info), labels, value)

    def delete_custom(self, name: NamespacedName, info: CustomMetricInfo) -> None:
        """Forget the value of one object's metric. Raises StatusError."""
        self._writer().delete_metric(name, self._normalised(info))

    def write_external(
        self, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        """Write the value of one label set of an external metric. Raises StatusError."""
        self._writer().set_external_metric(namespace, info, labels, value)

    def delete_external(self, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str]) -> None:
        """Forget the value of one label set of an external metric. Raises StatusError."""
        self._writer().delete_external_metric(namespace, info, labels)

    def _by_name(self, query: CustomMetricQuery, info: CustomMetricInfo, context: RequestContext) -> MetricValue:
        name = query.object_name
        not_found: NotFoundError = MetricNotFoundError(info.group_resource, info.metric, name.name)
        for owner, provider in self._custom:
            try:
                value = provider.get_metric_by_name(context, name, info, query.metric_selector)
            except NotFoundError as error:
                self._logger.debug(_PASSED, context.audit_id, owner, info)
                not_found = error
            else:
                self._logger.debug(_ANSWERED, context.audit_id, owner, info)
                return value
        raise not_found

    def _by_selector(
        self, query: CustomMetricQuery, info: CustomMetricInfo, context: RequestContext
    ) -> Sequence[MetricValue]:
        for owner, provider in self._custom:
            values = provider.get_metric_by_selector(
                context, query.namespace, query.selector, info, query.metric_selector
            )
            self._logger.debug(_ANSWERED if values else _PASSED, context.audit_id, owner, info)
            if values:
                return values
        return []

    def _normalised(self, info: CustomMetricInfo) -> CustomMetricInfo:
        return dataclasses.replace(info, group_resource=self._mapper.mapping_for(info.group_resource).group_resource)

    def _context(self, audit_id: str) -> RequestContext:
        deadline = self._clock.monotonic() + self._seconds
        return RequestContext(deadline=deadline, audit_id=audit_id, clock=self._clock, logger=self._logger)

    def _writer(self) -> WritableMetrics:
        if self._writable is None:
            # As if the routes were not there: no provider takes values.
            raise NotFoundError.for_path()
        return self._writable


def _echoing(value: MetricValue, query: CustomMetricQuery) -> MetricValue:
    """Say in the value which series were asked for, where the provider did not say it itself."""
    if value.metric.selector is not None:
        return value
    metric = dataclasses.replace(value.metric, selector=query.metric_label_selector)
    return dataclasses.replace(value, metric=metric)
