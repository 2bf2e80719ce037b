"""One call of a provider, whatever it does: what comes of it is an answer, nothing, or a failure with its sentence."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from metrics_apiserver.dispatch.checking import WrongAnswerError, check_custom, check_external
from metrics_apiserver.dispatch.outcomes import Answer, Failed, FailureReason, MissingReason, Nothing, Outcome
from metrics_apiserver.dispatch.reads import CUSTOM, Read
from metrics_apiserver.errors import (
    BadGatewayError,
    GatewayTimeoutError,
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
        # A provider that gives doubles does so at every read: a line a minute for each metric.
        self._warned = Seldom(timer=clock.monotonic)

    def call(self, read: Read, context: RequestContext) -> Outcome:
        """Call it on this thread."""
        begun = self._monotonic()
        try:
            given = read.ask(self._provider, context)
            values, oldest, doubles = check_custom(given) if read.api == CUSTOM else check_external(given)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a provider does, something comes of it
            outcome = self._without_answer(read, context, error)
            ended = self._monotonic()
        else:
            ended = self._monotonic()
            outcome = Answer(values, oldest, ended)
            if doubles:
                self._warn(read, doubles)
        self._figures[read.api].called(ended - begun)
        return outcome

    def _without_answer(self, read: Read, context: RequestContext, error: BaseException) -> Outcome:
        match error:
            case NotFoundError():
                return Nothing(MissingReason.NOT_FOUND, error.message, error)
            case NotFiniteError():
                message = f"provider {self._name} has no sample of {read}: it is not a finite number"
                return Nothing(MissingReason.NO_SAMPLE, message)
            case MetricUnavailableError():
                return Failed(FailureReason.NO_VALUE, error)
            case StatusError():
                reason = FailureReason.REFUSED if error.code < 500 else FailureReason.UNAVAILABLE
                return Failed(reason, error)
            case WrongAnswerError():
                return Failed(
                    FailureReason.WRONG_ANSWER, self._bad_gateway(context, f"gave a wrong answer ({error})", error)
                )
            case TimeoutError():
                sentence = f"provider {self._name} did not get its answer in time"
                return Failed(FailureReason.TIMEOUT, GatewayTimeoutError(sentence))
        # Its text is for the log alone: it may hold whatever the provider was working on.
        return Failed(FailureReason.RAISED, self._bad_gateway(context, f"raised {type(error).__name__}", error))

    def _bad_gateway(self, context: RequestContext, what: str, error: BaseException) -> BadGatewayError:
        known: Any = None if isinstance(error, WrongAnswerError) else error
        self._logger.error("audit-id %s: provider %s %s", context.audit_id, self._name, what, exc_info=known)
        return BadGatewayError(
            f"provider {self._name} {what}; the server's log has it under the audit id {context.audit_id}"
        )

    def _warn(self, read: Read, doubles: int) -> None:
        self._figures[read.api].dropped(doubles)
        if not self._warned.allows(read.info.metric):
            return
        what = "objects" if read.api == CUSTOM else "label sets"
        self._logger.warning(
            "provider %s gives the same %s twice for %s: the first of each counts", self._name, what, read
        )
