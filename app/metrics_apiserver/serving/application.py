"""What serving needs of the application, and where the two meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from gunicorn.errors import AppImportError

from metrics_apiserver.exchange import PlainRequest, Response
from metrics_apiserver.staleness import Followed

__all__ = ["Application", "checked"]


@runtime_checkable
class Application(Protocol):
    """A WSGI application with a life of its own, which also answers plain requests below WSGI."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request over WSGI."""

    def respond(self, request: PlainRequest, *, may_wait: bool) -> Response | None:
        """Answer a plain request. None: it would have to wait, and may not; or it is to be answered over WSGI."""

    def start(self) -> None:
        """Begin what runs in the background; called once, in the worker, before the first request."""

    def drain(self) -> None:
        """Say from now on that no new request should come here."""

    def stop(self) -> None:
        """End what runs in the background."""

    def client_authorities(self) -> Sequence[bytes]:
        """Return the CA certificates (DER) by which clients' certificates are judged now."""

    def observe_certificate(self, not_after: datetime) -> None:
        """Take note of when the serving certificate in use expires."""

    def to_try(self) -> Sequence[str]:
        """Return paths of reads of what is there, for who has just started it; none where nobody may just ask."""

    def follow(self, name: str) -> Followed:
        """Have something be followed that serving reads, such as its certificate."""


def checked(application: object) -> Application:
    """Return the application if it is one that can be served. Raises AppImportError, which ends gunicorn's start."""
    if isinstance(application, Application):
        return application
    missing = sorted(name for name in _METHODS if not callable(getattr(application, name, None)))
    raise AppImportError(
        f"{type(application).__name__} is not an application for this configuration of gunicorn:"
        f" it has no {', '.join(missing)}; serve metrics_apiserver.wsgi:app"
    )


_METHODS = ("respond", "start", "drain", "stop", "client_authorities", "observe_certificate", "to_try", "follow")
