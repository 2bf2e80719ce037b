"""Every request is seen here, whoever answers it: its metrics and its line in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from metrics_apiserver.environ import USER
from metrics_apiserver.logs import (
    BODIES,
    DECISIONS,
    HEADERS,
    SHOWN,
    EventLogger,
    get_logger,
    hide_secrets,
    shown_body,
    shown_field,
    shown_headers,
    shown_method,
    shown_target,
)
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.telemetry import RequestMetrics

__all__ = ["Answered", "Observation", "Observer", "WSGIApplication"]

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Asked every few seconds, and never by a user.
_ROUTINE = ("livez", "readyz", "healthz", "metrics")
# Characters of the Accept field that a line shows.
_LONGEST_FIELD = 512


class Answered(NamedTuple):
    """A request that was answered, with what is noted of it; `target` is as it came, `seconds` what it took to make."""

    method: str
    path: str
    target: str
    code: int
    seconds: float
    size: int
    audit_id: str
    user: str
    accept: str
    content_type: str


class Observer:
    """Notes every request, whichever way it was answered: its metrics, and its line in the log."""

    def __init__(self, metrics: RequestMetrics, clock: Clock) -> None:
        self.metrics = metrics
        self.monotonic = clock.monotonic
        self.log = get_logger("metrics_apiserver.requests")

    def note(self, answered: Answered) -> None:
        """Count and log a request."""
        self.metrics.observe(
            answered.method, answered.path, code=answered.code, seconds=answered.seconds, size=answered.size
        )
        level = DECISIONS if answered.path.strip("/").partition("/")[0] in _ROUTINE else logging.INFO
        if not self.log.enabled_for(level):
            return
        fields: dict[str, object] = {
            SHOWN: True,
            "audit_id": hide_secrets(answered.audit_id),
            "user": hide_secrets(answered.user),
            "verb": shown_method(answered.method),
            "path": shown_target(answered.target),
            "code": answered.code,
            "latency_ms": round(answered.seconds * 1000, 3),
            "size": answered.size,
        }
        if self.log.enabled_for(DECISIONS):
            accept = shown_field("accept", answered.accept[:_LONGEST_FIELD])
            fields |= {"accept": accept, "content_type": answered.content_type}
        self.log.log(level, "request", **fields)


class Observation:
    """A WSGI application around another, whose requests it has noted.

    The time is what the answer took to make; how long the client took to read it is not in it.
    """

    def __init__(self, app: WSGIApplication, observer: Observer) -> None:
        self._app = app
        self._observer = observer

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        status, headers = "500", []

        def started(code: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status, headers
            status, headers = code, fields
            return start_response(code, fields, exc_info)

        method = environ["REQUEST_METHOD"]
        observer = self._observer
        exchange = _Exchange(environ) if observer.log.enabled_for(HEADERS) else None
        begin = observer.monotonic()
        with observer.metrics.in_flight(method):
            body: Iterable[bytes] = ()
            try:
                body = self._app(environ, started)
                if exchange is not None:
                    body = exchange.whole(body)
            finally:
                named = dict(headers)
                observer.note(_answered(environ, int(status[:3]), named, observer.monotonic() - begin))
                if exchange is not None:
                    exchange.log(observer.log, named.get("Audit-Id", "-"), named)
        return body


def _answered(environ: Mapping[str, Any], code: int, headers: Mapping[str, str], seconds: float) -> Answered:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    return Answered(
        method=method,
        path=path,
        target=environ.get("RAW_URI") or path,
        code=code,
        seconds=seconds,
        size=0 if method == "HEAD" else int(headers.get("Content-Length", 0)),
        audit_id=headers.get("Audit-Id", "-"),
        user=environ.get(USER, "-"),
        accept=environ.get("HTTP_ACCEPT", ""),
        content_type=headers.get("Content-Type", ""),
    )


class _Exchange:
    """The headers and bodies of a request and its answer, kept for the log only when they are logged."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._environ = environ
        self._request = environ["wsgi.input"] = _Overheard(environ["wsgi.input"])
        self._answer = b""

    def whole(self, body: Iterable[bytes]) -> list[bytes]:
        """Read the answer, which is in memory anyway, and close it."""
        try:
            self._answer = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return [self._answer]

    def log(self, log: EventLogger, audit_id: object, answered: Mapping[str, str]) -> None:
        """Log the headers, and the bodies too if they are wanted."""
        asked = ((_name(key), value) for key, value in self._environ.items() if key.startswith("HTTP_"))
        log.log(HEADERS, "request headers", audit_id=audit_id, headers=shown_headers(asked))
        log.log(HEADERS, "response headers", audit_id=audit_id, headers=shown_headers(answered.items()))
        if log.enabled_for(BODIES):
            log.log(BODIES, "request body", audit_id=audit_id, body=shown_body(bytes(self._request.heard)))
            log.log(BODIES, "response body", audit_id=audit_id, body=shown_body(self._answer, ours=True))


class _Overheard:
    """A request's body that notes what is read from it; nothing is read for the log's sake."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.heard = bytearray()

    def read(self, *size: int) -> bytes:
        return self._note(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._note(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._note(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._note, self._stream)

    def _note(self, data: Any) -> bytes:
        self.heard += data
        return bytes(data)


def _name(key: str) -> str:
    """Give a header's name back from the environ's key."""
    return key.removeprefix("HTTP_").replace("_", "-").title()
