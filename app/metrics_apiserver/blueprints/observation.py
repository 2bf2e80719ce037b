"""The requests that come over WSGI are noted here, whoever answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from metrics_apiserver.answering.observation import Answered, Observer
from metrics_apiserver.auth.access import Judgement
from metrics_apiserver.environ import JUDGEMENT

__all__ = ["Observation", "WSGIApplication"]

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


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
        exchange = _Exchange(environ) if observer.shows_exchanges() else None
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
                    exchange.note(observer, named.get("Audit-Id", "-"), named)
        return body


def _answered(environ: Mapping[str, Any], code: int, headers: Mapping[str, str], seconds: float) -> Answered:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    judgement: Judgement | None = environ.get(JUDGEMENT)
    return Answered(
        method=method,
        path=path,
        target=environ.get("RAW_URI") or path,
        code=code,
        seconds=seconds,
        size=0 if method == "HEAD" else int(headers.get("Content-Length", 0)),
        audit_id=headers.get("Audit-Id", "-"),
        user=judgement.user.name if judgement is not None and judgement.user is not None else "-",
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

    def note(self, observer: Observer, audit_id: str, answered: Mapping[str, str]) -> None:
        """Log the headers, and the bodies too if they are wanted."""
        asked = ((_name(key), value) for key, value in self._environ.items() if key.startswith("HTTP_"))
        bodies = bytes(self._request.heard), self._answer
        observer.note_exchange(audit_id, asked=asked, answered=answered.items(), bodies=bodies)


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
    """Return the name of the header field that a key of the environ stands for."""
    return key.removeprefix("HTTP_").replace("_", "-").title()
