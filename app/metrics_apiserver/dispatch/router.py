"""Asks the instances that match, in order: what one does not have, the next may; any other failure stops."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from metrics_apiserver.dispatch.fallback import Fallback
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.outcomes import Failed, Nothing
from metrics_apiserver.dispatch.reads import CUSTOM, EXTERNAL, ExternalRead, NameRead, Read, Request, SelectorRead
from metrics_apiserver.dispatch.recent import RecentReads
from metrics_apiserver.errors import NotFoundError, WouldWaitError
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo, ExternalMetricValue, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import GroupResource, NamespacedName, RESTMapping
from metrics_apiserver.provider import ObjectLister, RESTMapper, UserInfo, WritableMetrics
from metrics_apiserver.query import CustomMetricQuery, ExternalMetricQuery

__all__ = ["KnownResources", "Router"]

# Which provider had the values, for whom needs to know why an answer is what it is (-v 4).
_ANSWERED, _PASSED = "audit-id %s: provider %s answers for %s", "audit-id %s: provider %s has nothing for %s"

# A read that is `immediate` holds each label set of its series against each requirement of its selector at most so
# often in all, which takes about a millisecond.
_MOST_MATCHES = 500


class KnownResources(RESTMapper, Protocol):
    """A mapper that can be asked for what it knows already."""

    def find(self, resource: GroupResource) -> RESTMapping | None:
        """Find a resource in memory, and nowhere else."""


class _Table(NamedTuple):
    """Who can be asked: replaced as a whole."""

    instances: tuple[Instance, ...]
    custom: tuple[Instance, ...]
    external: tuple[Instance, ...]
    wants_user: bool

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> _Table:
        return cls(
            instances=tuple(instances),
            custom=tuple(each for each in instances if CUSTOM in each.figures),
            external=tuple(each for each in instances if EXTERNAL in each.figures),
            wants_user=any(each.provider.per_user for each in instances),
        )


class Router:
    """The provider instances, in the order of the configuration."""

    def __init__(
        self,
        instances: Sequence[Instance],
        *,
        mapper: KnownResources,
        objects: ObjectLister,
        clock: Clock,
        logger: logging.Logger,
        seconds: float,
    ) -> None:
        """Make it; `seconds` is what a read may take."""
        self.recent = RecentReads()
        self._table = _Table.of(instances)
        self._mapper = mapper
        self._clock = clock
        self._logger = logger
        self._seconds = seconds
        self._fallback = Fallback(mapper=mapper, objects=objects, clock=clock, logger=logger, recent=self.recent)

    @property
    def wants_user(self) -> bool:
        """Whether a provider answers one user otherwise than another: then `user` is to be handed in."""
        return self._table.wants_user

    def replace(self, instances: Sequence[Instance]) -> None:
        """Ask these from now on. Reads under way finish on the old ones, within the time that a read may take."""
        self._table = _Table.of(instances)

    def close(self) -> None:
        """Let the threads of the instances end."""
        for instance in self._table.instances:
            instance.close()

    def immediate(self, query: CustomMetricQuery | ExternalMetricQuery) -> bool:
        """Whether a read is answered from memory for certain, with little work that is known before it is done.

        One by selector may wait for the list of objects, and an unknown resource is looked up.
        """
        if isinstance(query, ExternalMetricQuery):
            return _little_work(self._table.external, _external_read(query))
        mapping = self._mapper.find(query.info.group_resource) if query.name is not None else None
        if mapping is None:
            return False
        info = CustomMetricInfo(mapping.group_resource, query.info.metric, query.info.namespaced)
        return _little_work(self._table.custom, _custom_read(query, info))

    def read(self, query: Any, *, audit_id: str, user: UserInfo | None = None, may_wait: bool = True) -> Sequence[Any]:
        """Answer a read."""
        if not may_wait and not self.immediate(query):
            raise WouldWaitError
        if isinstance(query, CustomMetricQuery):
            return self.read_custom(query, audit_id=audit_id, user=user)
        return self.read_external(query, audit_id=audit_id, user=user)

    def read_custom(
        self, query: CustomMetricQuery, *, audit_id: str, user: UserInfo | None = None
    ) -> Sequence[MetricValue]:
        """Answer a read of a custom metric; a by-name answer has exactly one value. Raises StatusError."""
        read = _custom_read(query, self._normalised(query.info))
        values: Sequence[MetricValue] = self._answer(read, self._table.custom, audit_id, user)
        if query.metric_label_selector is None:
            return values
        return [_echoing(value, query) for value in values]

    def read_external(
        self, query: ExternalMetricQuery, *, audit_id: str, user: UserInfo | None = None
    ) -> Sequence[ExternalMetricValue]:
        """Answer a read of an external metric; an unknown one has no values. Raises StatusError."""
        read = _external_read(query)
        values: Sequence[ExternalMetricValue] = self._answer(read, self._table.external, audit_id, user)
        return values

    def write_custom(
        self, name: NamespacedName, info: CustomMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        """Write the value of one object's metric. Raises StatusError."""
        instance, writer = self._writer()
        known = self._normalised(info)
        instance.write(info.metric, lambda: writer.set_metric(name, known, labels, value), seconds=self._seconds)

    def delete_custom(self, name: NamespacedName, info: CustomMetricInfo) -> None:
        """Forget the value of one object's metric. Raises StatusError."""
        instance, writer = self._writer()
        known = self._normalised(info)
        instance.write(info.metric, lambda: writer.delete_metric(name, known), seconds=self._seconds)

    def write_external(
        self, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        """Write the value of one label set of an external metric. Raises StatusError."""
        instance, writer = self._writer()
        instance.write(
            info.metric, lambda: writer.set_external_metric(namespace, info, labels, value), seconds=self._seconds
        )

    def delete_external(self, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str]) -> None:
        """Forget the value of one label set of an external metric. Raises StatusError."""
        instance, writer = self._writer()
        instance.write(
            info.metric, lambda: writer.delete_external_metric(namespace, info, labels), seconds=self._seconds
        )

    # Any: values of the API that the read is of.
    def _answer(self, read: Read, instances: Sequence[Instance], audit_id: str, user: UserInfo | None) -> Any:
        request = Request(self._clock.monotonic() + self._seconds, audit_id, user)
        standing: tuple[Instance, Nothing | Failed] | None = None
        for instance in instances:
            if not instance.asked_for(read):
                continue
            try:
                values = instance.read(read, request)
            except (Nothing, Failed) as outcome:
                # Without its frames, one of which would hold it.
                standing = instance, outcome.with_traceback(None)
            else:
                self._logger.debug(_ANSWERED, audit_id, instance.name, read)
                return values
            if isinstance(standing[1], Failed) or not instance.settings.next_on_not_found:
                break
            self._logger.debug(_PASSED, audit_id, instance.name, read)
        return self._without_values(standing, read, request)

    def _without_values(self, standing: tuple[Instance, Nothing | Failed] | None, read: Read, request: Request) -> Any:
        if standing is None:
            return self._fallback.after_nobody(read, request)
        instance, outcome = standing
        if isinstance(outcome, Failed):
            return self._fallback.after_failure(instance, outcome, read, request)
        return self._fallback.after_nothing(instance, outcome, read, request)

    def _normalised(self, info: CustomMetricInfo) -> CustomMetricInfo:
        resource = self._mapper.mapping_for(info.group_resource).group_resource
        return CustomMetricInfo(resource, info.metric, info.namespaced)

    def _writer(self) -> tuple[Instance, WritableMetrics]:
        for instance in self._table.instances:
            if isinstance(instance.provider, WritableMetrics):
                return instance, instance.provider
        # As if the routes were not there: no provider takes values.
        raise NotFoundError.for_path()


def _custom_read(query: CustomMetricQuery, info: CustomMetricInfo) -> NameRead | SelectorRead:
    if query.name is not None:
        return NameRead(NamespacedName(query.namespace, query.name), info, query.metric_selector)
    return SelectorRead(query.namespace, query.selector, info, query.metric_selector)


def _external_read(query: ExternalMetricQuery) -> ExternalRead:
    return ExternalRead(query.namespace, query.info, query.metric_selector)


def _little_work(instances: Sequence[Instance], read: Read) -> bool:
    """Whether everybody who may be asked can be asked at once, and all of them together look at few series."""
    requirements = 1 + len(read.metric_selector.requirements)
    left = _MOST_MATCHES
    for instance in instances:
        if instance.asked_for(read):
            series = instance.series_at_once(read)
            if series is None:
                return False
            left -= series * requirements
    return left >= 0


def _echoing(value: MetricValue, query: CustomMetricQuery) -> MetricValue:
    """Say in the value which series were asked for, where the provider did not say it itself."""
    if value.metric.selector is not None:
        return value
    metric = dataclasses.replace(value.metric, selector=query.metric_label_selector)
    return dataclasses.replace(value, metric=metric)
