"""The WSGI application as the worker calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from metrics_apiserver.environ import HEADER_PAIRS, PEER_CERTIFICATE

__all__ = ["Application", "call"]


class Application:
    """The WSGI application, called with what only the connection knows; in everything else it is the application."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        connection = environ["gunicorn.socket"]
        environ[HEADER_PAIRS] = connection.header_pairs
        environ[PEER_CERTIFICATE] = connection.peer_certificate
        return self._app(environ, start_response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)


def call(worker: Any, method: str, *arguments: object) -> Any:
    """Call a method of a worker's application; None where it has no such method, as others than ours may not."""
    function = getattr(getattr(worker, "wsgi", None), method, None)
    return None if function is None else function(*arguments)
