"""The one reading of a request's target, before anything else: all that comes later is given what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from metrics_apiserver.blueprints.observation import WSGIApplication
from metrics_apiserver.environ import TARGET
from metrics_apiserver.errors import StatusError
from metrics_apiserver.target import read_target

__all__ = ["ReadsTarget"]

# Where no route is, should a target that was refused ever come to be routed.
_NOWHERE = "/unreadable"


class ReadsTarget:
    """A WSGI application around another, which routes by what was read here.

    The server's own reading (PATH_INFO, QUERY_STRING, SCRIPT_NAME) is replaced: of two readings of the same bytes one
    would be judged and the other served.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        path, query = _NOWHERE, ""
        try:
            environ[TARGET] = target = read_target(environ["RAW_URI"])
        except StatusError as error:
            environ[TARGET] = error.with_traceback(None)
        else:
            path, query = target.path, target.query
        # WSGI has bytes as Latin-1 text.
        environ.update(PATH_INFO=path.encode().decode("latin-1"), QUERY_STRING=query, SCRIPT_NAME="")
        return self._app(environ, start_response)
