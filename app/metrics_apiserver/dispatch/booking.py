"""Books the trace of an answered read: its counts, its lines in the log, and the row of `/debug/reads`."""

from __future__ import annotations

import logging

from metrics_apiserver.apis.api import Read, shown_sentence
from metrics_apiserver.dispatch.recent import RecentRead, RecentReads, shortened
from metrics_apiserver.dispatch.trace import Passed, Served, Settled, Trace
from metrics_apiserver.logs import DECISIONS, shown_selector
from metrics_apiserver.model.clock import Clock

__all__ = ["Bookings"]

# Which provider had the values, for whom needs to know why an answer is what it is (-v 4).
_ANSWERED, _PASSED = "audit-id %s: provider %s answers for %s", "audit-id %s: provider %s has nothing for %s"


class Bookings:
    """Books each trace once."""

    def __init__(self, recent: RecentReads, *, clock: Clock, logger: logging.Logger) -> None:
        self._recent = recent
        self._clock = clock
        self._logger = logger

    def book(self, trace: Trace) -> None:
        """Count and log what happened; of a read that no provider answered a row is kept."""
        for step in trace.steps:
            step.book()
        last = trace.steps[-1] if trace.steps else None
        if self._logger.isEnabledFor(logging.DEBUG):
            self._log_providers(trace, answered=isinstance(last, Served))
        if isinstance(last, Settled) and last.result != "refused":
            self._note(last, trace.read, trace.request.audit_id)

    def _log_providers(self, trace: Trace, *, answered: bool) -> None:
        passed = [step for step in trace.steps if isinstance(step, Passed) and not step.failure]
        # The one whose nothing stands is told of in the line of the read.
        for step in passed if answered else passed[:-1]:
            self._logger.debug(_PASSED, trace.request.audit_id, step.provider, trace.read)
        if answered:
            served = trace.steps[-1]
            assert isinstance(served, Served)
            self._logger.debug(_ANSWERED, trace.request.audit_id, served.provider, trace.read)

    def _note(self, settled: Settled, read: Read, audit_id: str) -> None:
        message = shown_sentence(settled.message, read)
        level = logging.INFO if settled.result == "substituted" else DECISIONS
        self._logger.log(level, "audit-id %s: a read of %s is %s: %s", audit_id, read, settled.result, message)
        self._recent.add(
            RecentRead(
                time=self._clock.now(),
                audit_id=audit_id,
                provider=settled.provider,
                api=read.api.name,
                namespace=read.namespace,
                resource=str(read.resource or ""),
                object=shortened(read.objects),
                metric=shortened(read.info.metric),
                selector=shortened(shown_selector(str(read.metric_selector))),
                result=settled.result,
                reason=settled.reason,
                message=shortened(message),
            )
        )
