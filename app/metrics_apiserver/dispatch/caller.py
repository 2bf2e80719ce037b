"""One call of a provider, whatever it does: what comes of it is an answer, nothing, or a failure with its sentence."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from metrics_apiserver.apis.api import Read
from metrics_apiserver.apis.checking import WrongAnswerError
from metrics_apiserver.dispatch.outcomes import Answer, Failed, FailureReason, Fault, Missing, MissingReason, Outcome
from metrics_apiserver.dispatch.trace import Called
from metrics_apiserver.errors import (
    BadGatewayError,
    GatewayTimeoutError,
    MetricFailedError,
    MetricUnavailableError,
    NotFoundError,
    StatusError,
)
from metrics_apiserver.logs.seldom import Seldom
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.model.quantity import NotFiniteError
from metrics_apiserver.provider import Provider, RequestContext
from metrics_apiserver.telemetry import ProviderFigures

__all__ = ["Caller"]


class Caller:
    """Calls one provider, times it, and checks what it gives."""

    def __init__(
        self,
        name: str,
        provider: Provider,
        *,
        figures: Mapping[str, ProviderFigures],
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._name = name
        self._provider = provider
        self._figures = figures
        self._monotonic = clock.monotonic
        self._logger = logger
        # A provider that gives duplicates does so at every read: a line a minute for each metric.
        self._warned = Seldom(timer=clock.monotonic)

    def call(self, read: Read, context: RequestContext) -> tuple[Outcome, Called]:
        """Call it on this thread; return what came of it, and the step of the read's trace. Raises nothing."""
        begun = self._monotonic()
        duplicates = 0
        outcome: Outcome
        try:
            values, oldest, newest, duplicates = read.api.check(read.ask(self._provider, context))
        except BaseException as error:  # noqa: BLE001 - whatever a provider does, something comes of it
            outcome = self._without_answer(read, context, error)
            ended = self._monotonic()
        else:
            ended = self._monotonic()
            outcome = Answer(values, oldest, ended, newest)
        warn = partial(self._warn, read) if duplicates else None
        return outcome, Called(self._name, self._figures[read.api.name], ended - begun, duplicates, warn)

    def _without_answer(self, read: Read, context: RequestContext, error: BaseException) -> Outcome:
        match error:
            case NotFoundError():
                return Missing(MissingReason.NOT_FOUND, error.message, Fault.of(error))
            case NotFiniteError():
                message = f"provider {self._name} has no sample of {read}: it is not a finite number"
                return Missing(MissingReason.NO_SAMPLE, message)
            case MetricUnavailableError() | MetricFailedError():
                return Failed(FailureReason.NO_VALUE, Fault.of(error))
            case StatusError() if _can_be_sent(error.code):
                reason = FailureReason.REFUSED if error.code < 500 else FailureReason.UNAVAILABLE
                return Failed(reason, Fault.of(error))
            case WrongAnswerError():
                wrong = self._bad_gateway(read, context, f"gave a wrong answer ({error})", None)
                return Failed(FailureReason.WRONG_ANSWER, wrong)
            case TimeoutError():
                sentence = f"provider {self._name} did not get its answer in time for {read}"
                return Failed(FailureReason.TIMEOUT, Fault.of(GatewayTimeoutError(sentence)))
        # Its text is for the log alone: it may hold whatever the provider was working on.
        return Failed(FailureReason.RAISED, self._bad_gateway(read, context, f"raised {type(error).__name__}", error))

    def _bad_gateway(self, read: Read, context: RequestContext, what: str, error: BaseException | None) -> Fault:
        said = f"provider {self._name} {what} for {read}"
        self._logger.error("audit-id %s: %s", context.audit_id, said, exc_info=error)
        sentence = f"{said}; the server's log has it under the audit id {context.audit_id}"
        return Fault.of(BadGatewayError(sentence))

    def _warn(self, read: Read) -> None:
        if self._warned.allows(read.info.metric):
            self._logger.warning(
                "provider %s gives the same %s twice for %s: the first of each counts",
                self._name,
                read.api.duplicated,
                read,
            )


def _can_be_sent(code: object) -> bool:
    """Return whether the code of an error, which is a provider's own, is that of a failure in HTTP."""
    return isinstance(code, int) and 400 <= code < 600
