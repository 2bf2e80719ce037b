"""The one road of a request that is answered below HTTP: asked, judged, answered.

On the worker's loop it is walked with `may_wait=False`. Whatever would have to wait then raises WouldWaitError, the
attempt is thrown away as a whole, and the same is done again on a thread, where it may wait.
"""

from __future__ import annotations

from collections.abc import Callable

from metrics_apiserver.answering.asked import Asked, read_asked
from metrics_apiserver.answering.failures import Failures
from metrics_apiserver.answering.observation import Answered, Observer
from metrics_apiserver.answering.probes import Probes
from metrics_apiserver.answering.reads import MetricReads
from metrics_apiserver.answering.request import Request
from metrics_apiserver.auth.access import Access
from metrics_apiserver.errors import NotFoundError, StatusError, UnauthorizedError, WouldWaitError
from metrics_apiserver.exchange import PlainRequest, Response

__all__ = ["Answering", "PlainFront", "Respond"]

# Answers a request that may wait.
Respond = Callable[[Request], Response]


class Answering:
    """Answers reads of metrics, and probes. `access` is None where everybody may."""

    def __init__(self, reads: MetricReads, probes: Probes, failures: Failures, access: Access | None = None) -> None:
        self.access = access
        self.reads = reads
        self._probes = probes
        self._failures = failures

    def respond(self, request: Request, asked: Asked | None = None, *, may_wait: bool = True) -> Response:
        """Return the answer to a request. Raises WouldWaitError, and no StatusError.

        `asked` is what its target asks for, where that was read already. A request that no front has judged is refused.
        """
        if not may_wait and request.takes_long_to_write():
            raise WouldWaitError
        try:
            return self._respond(request, asked or read_asked(request.target), may_wait=may_wait)
        except StatusError as error:
            return self._failures.answer(error.with_traceback(None), request)
        except WouldWaitError:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and no client sees more than that
            return self._failures.answer_bug(error, request)

    def _respond(self, request: Request, asked: Asked | None, *, may_wait: bool) -> Response:
        judgement = request.judgement
        if judgement is None and self.access is not None:
            raise UnauthorizedError("nobody has judged this request")
        if judgement is not None and judgement.error is not None:
            raise judgement.error
        if asked is None:
            raise NotFoundError.for_path()
        if asked.row is None:
            return self._probes.respond(asked.target, request.audit_id)
        user = judgement.user if judgement is not None else None
        return self.reads.respond(asked, request, user, may_wait=may_wait)


class PlainFront:
    """Answers the plain requests that serving has read itself; each is noted once, when it is answered."""

    def __init__(self, answering: Answering, observer: Observer) -> None:
        self.answering = answering
        self._access = answering.access
        self._observer = observer

    def respond(self, plain: PlainRequest, *, may_wait: bool) -> Response | None:
        """Return the answer; None where that would have to wait, and for what is answered over WSGI alone."""
        if not may_wait:
            # Nobody else has a turn meanwhile: nothing is in flight.
            return self._answer(plain, may_wait=False)
        with self._observer.metrics.in_flight("GET"):
            return self._answer(plain, may_wait=True)

    def _answer(self, plain: PlainRequest, *, may_wait: bool) -> Response | None:
        begin = self._observer.monotonic()
        try:
            asked = read_asked(plain.target, may_wait=may_wait)
            if asked is None:
                return None
            judgement = None
            if self._access is not None:
                judgement = self._access.judge(plain.fields, plain.certificate, asked.info, may_wait=may_wait)
            request = Request.of_plain(plain, judgement)
            answer = self.answering.respond(request, asked, may_wait=may_wait)
        except WouldWaitError:
            return None
        self._note(request, asked, answer, self._observer.monotonic() - begin)
        return answer

    def _note(self, request: Request, asked: Asked, answer: Response, seconds: float) -> None:
        judgement, audit_id = request.judgement, request.audit_id
        if judgement is not None and self._access is not None:
            self._access.note(judgement)
        user = judgement.user.name if judgement is not None and judgement.user is not None else "-"
        self._observer.note(
            Answered(
                request.method,
                asked.target.path,
                request.target,
                answer.code,
                seconds,
                len(answer.body),
                audit_id,
                user,
                request.accept,
                answer.content_type,
            )
        )
        if self._observer.shows_exchanges():
            framing = ("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))
            self._observer.note_exchange(
                audit_id,
                asked=[(name.title(), value) for name, value in request.pairs],
                answered=[*framing, *answer.fields],
                bodies=(b"", answer.body),
            )
