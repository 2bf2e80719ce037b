"""What is answered where there is nothing, or a provider failed: as the policy says, and never without a trace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.outcomes import Failed, FailureReason, MissingReason, Nothing
from metrics_apiserver.dispatch.reads import ExternalRead, NameRead, Read, Request, Values, shown_sentence
from metrics_apiserver.dispatch.recent import RecentRead, RecentReads, shortened
from metrics_apiserver.errors import MetricNotFoundError, NotFoundError, StatusError
from metrics_apiserver.logs import DECISIONS, shown_selector
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.model.metrics import ExternalMetricValue, MetricIdentifier, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import NamespacedName
from metrics_apiserver.provider import ObjectLister, RESTMapper, reference_for
from metrics_apiserver.settings import Substitute, SubstituteSettings

__all__ = ["Fallback"]

_EMPTY, _SUBSTITUTED, _FAILED = "empty", "substituted", "failed"
_ZERO = Quantity(0)


class Fallback:
    """Applies `onEmpty` and `onError` of the instance whose answer stands."""

    def __init__(
        self,
        *,
        mapper: RESTMapper,
        objects: ObjectLister,
        clock: Clock,
        logger: logging.Logger,
        recent: RecentReads,
    ) -> None:
        self._mapper = mapper
        self._objects = objects
        self._clock = clock
        self._logger = logger
        self._recent = recent

    def after_nothing(self, instance: Instance, nothing: Nothing, read: Read, request: Request) -> Values:
        """Answer a read to which the last provider that was asked has nothing. Raises StatusError."""
        nothing = self._explained(instance, read, request, nothing)
        instance.figures[read.api].empty(nothing.reason)
        policy = instance.policy(read).on_empty
        error = nothing.error or NotFoundError(nothing.message)
        note = partial(self._note, instance.name, read, request, nothing.reason, nothing.message)
        if policy.kind is Substitute.EMPTY:
            note(_EMPTY)
            if isinstance(read, NameRead) or nothing.error is not None:
                raise error.with_traceback(None)
            return ()
        values = self._substitute(instance, read, request, policy)
        return self._substituted(instance, read, values, error, note, cause="empty")

    def after_failure(self, instance: Instance, failed: Failed, read: Read, request: Request) -> Values:
        """Answer a read that a provider could not answer. Raises StatusError."""
        error = failed.error
        if failed.reason is FailureReason.REFUSED:
            raise error.with_traceback(None)
        policy = instance.policy(read).on_error
        note = partial(self._note, instance.name, read, request, failed.reason, error.whole)
        if policy.kind is Substitute.EMPTY:
            note(_EMPTY)
            if isinstance(read, NameRead):
                raise NotFoundError(error.message)
            return ()
        values = self._substitute(instance, read, request, policy)
        return self._substituted(instance, read, values, error, note, cause="error")

    def after_nobody(self, read: Read, request: Request) -> Values:
        """Answer a read for which no provider is asked."""
        message = f"no provider is asked for {read}"
        self._note("", read, request, MissingReason.NOT_FOUND, message, _EMPTY)
        if isinstance(read, NameRead):
            raise MetricNotFoundError(read.info.group_resource, read.info.metric, read.name.name)
        return ()

    def _explained(self, instance: Instance, read: Read, request: Request, nothing: Nothing) -> Nothing:
        """Tell no sample at all from samples that the selector leaves out."""
        if nothing.reason is not MissingReason.NO_SAMPLE or not instance.filtered_out(read, request):
            return nothing
        message = (
            f"provider {instance.name} has samples of {read.info.metric}, and none that the selector matches: {read}"
        )
        return Nothing(MissingReason.FILTERED, message)

    def _substitute(
        self, instance: Instance, read: Read, request: Request, policy: SubstituteSettings
    ) -> Values | None:
        """Give what stands in; None where the policy knows nothing that could."""
        match policy.kind:
            case Substitute.ZERO:
                return self._made(read, request, _ZERO)
            case Substitute.VALUE if policy.value is not None:
                return self._made(read, request, policy.value)
            case Substitute.LAST:
                return instance.last(read, request, policy.seconds) or None
        return None

    def _substituted(
        self,
        instance: Instance,
        read: Read,
        values: Values | None,
        error: StatusError,
        note: Callable[[str], None],
        *,
        cause: str,
    ) -> Values:
        if values is None:
            note(_FAILED)
            raise error.with_traceback(None)
        instance.figures[read.api].substitute(cause)
        note(_SUBSTITUTED)
        return values

    def _made(self, read: Read, request: Request, quantity: Quantity) -> Values:
        now = self._clock.now()
        if isinstance(read, ExternalRead):
            return (ExternalMetricValue(read.info.metric, now, quantity),)
        metric = MetricIdentifier(read.info.metric)
        return tuple(
            MetricValue(reference_for(self._mapper, name, read.info), metric, now, quantity)
            for name in self._names(read, request)
        )

    def _names(self, read: Read, request: Request) -> Sequence[NamespacedName]:
        if isinstance(read, NameRead):
            return (read.name,)
        assert not isinstance(read, ExternalRead)
        mapping = self._mapper.mapping_for(read.info.group_resource)
        if read.namespace and not mapping.namespaced:
            return ()
        left = max(0.0, request.deadline - self._clock.monotonic())
        return self._objects.list_names(mapping, namespace=read.namespace, selector=read.selector, timeout=left)

    def _note(self, provider: str, read: Read, request: Request, reason: str, message: str, result: str) -> None:
        message = shown_sentence(message, read)
        level = logging.INFO if result is _SUBSTITUTED else DECISIONS
        self._logger.log(level, "audit-id %s: a read of %s is %s: %s", request.audit_id, read, result, message)
        self._recent.add(
            RecentRead(
                time=self._clock.now(),
                audit_id=request.audit_id,
                provider=provider,
                api=read.api,
                namespace=read.namespace,
                resource=str(read.resource or ""),
                object=shortened(read.object),
                metric=shortened(read.info.metric),
                selector=shortened(shown_selector(str(read.metric_selector))),
                result=result,
                reason=reason,
                message=shortened(message),
            )
        )
