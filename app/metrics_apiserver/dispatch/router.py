"""Asks the instances that match, in order: what one does not have, the next may; any other failure stops."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from metrics_apiserver.apis.api import Mapper, Query, Values
from metrics_apiserver.apis.custom import CUSTOM_METRICS_API
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.apis.table import APIS
from metrics_apiserver.dispatch.booking import Bookings
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.outcomes import Answer, Failed, Fault, Missing, MissingReason
from metrics_apiserver.dispatch.recent import RecentReads
from metrics_apiserver.dispatch.trace import Request, Settled, Trace
from metrics_apiserver.errors import NotFoundError, StatusError
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import NamespacedName, RESTMapping
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.provider import ObjectLister, UserInfo, WritableMetrics

__all__ = ["Router"]


class _Table(NamedTuple):
    """Who can be asked: replaced as a whole."""

    instances: tuple[Instance, ...]
    by_api: Mapping[str, tuple[Instance, ...]]
    wants_user: bool

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> _Table:
        return cls(
            instances=tuple(instances),
            by_api={api.name: tuple(each for each in instances if api.name in each.figures) for api in APIS},
            wants_user=any(each.provider.per_user for each in instances),
        )


class Router:
    """The provider instances, in the order of the configuration."""

    def __init__(
        self,
        instances: Sequence[Instance],
        *,
        mapper: Mapper,
        objects: ObjectLister,
        clock: Clock,
        logger: logging.Logger,
        seconds: float,
    ) -> None:
        """Ask `instances`; `seconds` is what a read may take."""
        self.recent = RecentReads()
        self._table = _Table.of(instances)
        self._mapper = mapper
        self._objects = objects
        self._clock = clock
        self._seconds = seconds
        self._bookings = Bookings(self.recent, clock=clock, logger=logger)

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

    def read(self, query: Query, *, audit_id: str, user: UserInfo | None = None, may_wait: bool = True) -> Values:
        """Return the values of a metric; a read by name has exactly one.

        Raises StatusError; and WouldWaitError where this may not wait, or do much work, and would have to. Then nothing
        was counted or kept, and the read is to be made again.
        """
        read = query.api.read_of(query, self._mapper, may_wait=may_wait)
        trace = Trace(read, Request(self._clock.monotonic() + self._seconds, audit_id, user, may_wait))
        try:
            values, fault = self._answer(trace)
        except StatusError:
            self._bookings.book(trace)
            raise
        self._bookings.book(trace)
        if fault is not None:
            raise fault.error()
        return query.api.echoed(query, values)

    def _answer(self, trace: Trace) -> tuple[Values, Fault | None]:
        standing: tuple[Instance, Missing | Failed] | None = None
        for instance in self._table.by_api[trace.api]:
            if not instance.is_asked(trace.read):
                continue
            outcome = instance.read(trace)
            if isinstance(outcome, Answer):
                return outcome.values, None
            standing = instance, outcome
            if isinstance(outcome, Failed) or not instance.settings.next_on_not_found:
                break
        if standing is None:
            return self._asked_nobody(trace)
        instance, outcome = standing
        found = instance.settle(outcome, trace, partial(self._make, trace))
        return found.values, found.fault

    def _asked_nobody(self, trace: Trace) -> tuple[Values, Fault | None]:
        read = trace.read
        message = f"no provider is asked for {read}"
        trace.steps.append(Settled("", None, "empty", MissingReason.NOT_FOUND, message, empty=True))
        return (), Fault.of(read.unknown()) if read.by_name else None

    def _make(self, trace: Trace, quantity: Quantity) -> Values:
        """Make values of a quantity for whatever the read is about. Raises StatusError."""

        def names(mapping: RESTMapping, *, namespace: str, selector: Selector) -> Sequence[NamespacedName]:
            left = max(0.0, trace.request.deadline - self._clock.monotonic())
            return self._objects.list_names(mapping, namespace=namespace, selector=selector, timeout=left)

        read = trace.read
        return read.api.substitutes(read, quantity, now=self._clock.now(), mapper=self._mapper, names=names)

    # Writes, of the providers that take them.

    def write_custom(
        self,
        name: NamespacedName,
        info: CustomMetricInfo,
        labels: Mapping[str, str],
        value: Quantity,
        *,
        audit_id: str,
    ) -> None:
        """Write the value of one object's metric. Raises StatusError."""
        instance, writer = self._writer()
        known = self._normalised(info)
        instance.write(
            CUSTOM_METRICS_API.name,
            info.metric,
            lambda ctx: writer.set_metric(ctx, name, known, labels, value),
            self._request(audit_id),
        )

    def delete_custom(self, name: NamespacedName, info: CustomMetricInfo, *, audit_id: str) -> None:
        """Forget the value of one object's metric. Raises StatusError."""
        instance, writer = self._writer()
        known = self._normalised(info)
        instance.write(
            CUSTOM_METRICS_API.name,
            info.metric,
            lambda ctx: writer.delete_metric(ctx, name, known),
            self._request(audit_id),
        )

    def write_external(
        self, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], value: Quantity, *, audit_id: str
    ) -> None:
        """Write the value of one label set of an external metric. Raises StatusError."""
        instance, writer = self._writer()
        instance.write(
            EXTERNAL_METRICS_API.name,
            info.metric,
            lambda ctx: writer.set_external_metric(ctx, namespace, info, labels, value),
            self._request(audit_id),
        )

    def delete_external(
        self, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], *, audit_id: str
    ) -> None:
        """Forget the value of one label set of an external metric. Raises StatusError."""
        instance, writer = self._writer()
        instance.write(
            EXTERNAL_METRICS_API.name,
            info.metric,
            lambda ctx: writer.delete_external_metric(ctx, namespace, info, labels),
            self._request(audit_id),
        )

    def _request(self, audit_id: str) -> Request:
        return Request(self._clock.monotonic() + self._seconds, audit_id)

    def _normalised(self, info: CustomMetricInfo) -> CustomMetricInfo:
        resource = self._mapper.mapping_for(info.group_resource).group_resource
        return CustomMetricInfo(resource, info.metric, info.namespaced)

    def _writer(self) -> tuple[Instance, WritableMetrics]:
        for instance in self._table.instances:
            if isinstance(instance.provider, WritableMetrics):
                return instance, instance.provider
        # As if the routes were not there: no provider takes values.
        raise NotFoundError.for_path()
