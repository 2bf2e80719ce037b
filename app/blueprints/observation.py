"""Every request is seen here, whoever answers it: its metrics and its line in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from app.environ import USER
from app.logs import BODIES, DECISIONS, HEADERS, EventLogger, get_logger, shown_body, shown_headers, shown_target
from app.model.clock import Clock
from app.telemetry import RequestMetrics

__all__ = ["Observation"]

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Asked every few seconds, and never by a user.
_ROUTINE = ("livez", "readyz", "healthz", "metrics")


class Observation:
    """A WSGI application around another, which it counts, times and logs.

    The time is what the answer took to make; how long the client took to read it is not in it.
    """

    def __init__(self, app: WSGIApplication, metrics: RequestMetrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._monotonic = clock.monotonic
        self._log = get_logger("metrics_apiserver.requests")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        status, headers = "500", []

        def started(code: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status, headers
            status, headers = code, fields
            return start_response(code, fields, exc_info)

        method = environ["REQUEST_METHOD"]
        exchange = _Exchange(environ) if self._log.enabled_for(HEADERS) else None
        begin = self._monotonic()
        with self._metrics.in_flight(method):
            body: Iterable[bytes] = ()
            try:
                body = self._app(environ, started)
                if exchange is not None:
                    body = exchange.whole(body)
            finally:
                self._answered(environ, method, status, dict(headers), self._monotonic() - begin, exchange)
        return body

    def _answered(
        self,
        environ: Mapping[str, Any],
        method: str,
        status: str,
        headers: Mapping[str, str],
        seconds: float,
        exchange: _Exchange | None,
    ) -> None:
        path = environ["PATH_INFO"]
        code = int(status[:3])
        size = 0 if method == "HEAD" else int(headers.get("Content-Length", 0))
        self._metrics.observe(method, path, code=code, seconds=seconds, size=size)
        level = DECISIONS if path.strip("/").partition("/")[0] in _ROUTINE else logging.INFO
        if not self._log.enabled_for(level):
            return
        fields: dict[str, object] = {
            "audit_id": headers.get("Audit-Id", "-"),
            "user": environ.get(USER, "-"),
            "verb": method,
            "path": shown_target(environ.get("RAW_URI") or path),
            "code": code,
            "latency_ms": round(seconds * 1000, 3),
            "size": size,
        }
        if self._log.enabled_for(DECISIONS):
            fields |= {"accept": environ.get("HTTP_ACCEPT", ""), "content_type": headers.get("Content-Type", "")}
        self._log.log(level, "request", **fields)
        if exchange is not None:
            exchange.log(self._log, fields["audit_id"], headers)


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
            log.log(BODIES, "response body", audit_id=audit_id, body=shown_body(self._answer))


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
