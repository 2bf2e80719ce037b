"""What is done with a request whose head has arrived: the application answers it, or it is refused with a `Status`."""

from __future__ import annotations

import errno
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from gunicorn.http import wsgi
from gunicorn.http.errors import LimitRequestHeaders, NoMoreData

from metrics_apiserver.environ import HEADER_PAIRS, PEER_CERTIFICATE
from metrics_apiserver.errors import StatusError
from metrics_apiserver.exchange import PlainRequest
from metrics_apiserver.logs import shown_method, shown_target
from metrics_apiserver.serving.application import Application
from metrics_apiserver.serving.bodies import Body
from metrics_apiserver.serving.connection import HEAD_LIMIT
from metrics_apiserver.serving.heads import Head
from metrics_apiserver.serving.peers import Connection
from metrics_apiserver.serving.refusals import is_clients_mistake, refusal
from metrics_apiserver.serving.responses import write_response

__all__ = ["Requests"]

# So many of a connection, and it is closed: its client comes back, to a newer replica perhaps.
_REQUESTS = 10_000
# How long the rest of a body that nobody read goes on being read as far as it is here; what is not ends the connection.
_DRAIN_SECONDS = 0.1


class _CutResponseError(Exception):
    """The application failed after its response had begun: nothing that could be read may follow."""


class Requests:
    """Answers requests; `cfg` is gunicorn's configuration, `stopping` says whether the server was told to stop."""

    def __init__(
        self, application: Application, cfg: Any, log: logging.Logger, *, stopping: Callable[[], bool]
    ) -> None:
        self._application = application
        self._cfg = cfg
        self._log = log
        self._stopping = stopping

    def handle(self, conn: Connection, head: Head | None) -> bool:
        """Answer the request whose head has arrived; return whether another may follow on the connection.

        `head` is that of a plain request, which the application answers below WSGI if it can.
        """
        if conn.sock.head_too_large:
            too_large = LimitRequestHeaders(f"the request's head is larger than {HEAD_LIMIT} bytes")
            self._refuse(None, conn, too_large)
            return False
        request = None
        try:
            if head is not None and self.answer_plain(conn, head, may_wait=True):
                return conn.keep
            conn.requests += 1
            conn.sock.settimeout(None)
            request = next(conn.parser)
            keep = self._over_wsgi(request, conn) and self._finish_body(conn)
        except (NoMoreData, StopIteration, _CutResponseError) as error:
            self._log.debug("closing the connection of %s: %s", conn.host, error)
        except ssl.SSLError as error:
            self._log.debug("closing the connection of %s: %s", conn.host, error)
        except OSError as error:
            gone = error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
            self._log.log(
                logging.DEBUG if gone else logging.ERROR,
                "a request from %s ended without its response: %s",
                conn.host,
                error,
                exc_info=None if gone else error,
            )
        except BaseException as error:  # noqa: BLE001 - whatever the application raises harms no other connection
            self._refuse(request, conn, error)
        else:
            if keep:
                conn.sock.unread(conn.parser.unreader.take_buffered())
            return keep
        return False

    def answer_plain(self, conn: Connection, head: Head, *, may_wait: bool) -> bool:
        """Answer a plain request below WSGI, and return whether the application could."""
        response = self._application.respond(
            PlainRequest(head.target, head.pairs, conn.sock.peer_certificate), may_wait=may_wait
        )
        if response is None:
            return False
        conn.requests += 1
        conn.keep = not (head.close or self._stopping() or conn.requests >= _REQUESTS)
        conn.sock.answer(head, write_response(response, close=not conn.keep))
        return True

    def _over_wsgi(self, request: Any, conn: Connection) -> bool:
        """Have a parsed request answered over WSGI; return whether the response lets the connection live on."""
        request.body = Body(request)
        if self._stopping() or conn.requests >= _REQUESTS or _says_close(request.headers):
            request.force_close()
        response, environ = wsgi.create(request, conn.sock, conn.client, conn.server, self._cfg)
        # As they came: WSGI joins repeated ones, which cannot be told apart then.
        environ[HEADER_PAIRS] = tuple(request.headers)
        environ[PEER_CERTIFICATE] = conn.sock.peer_certificate
        environ["wsgi.multithread"] = True
        try:
            parts = self._application(environ, response.start_response)
            try:
                for part in parts:
                    response.write(part)
                response.close()
            finally:
                if hasattr(parts, "close"):
                    parts.close()
        except OSError:
            raise
        except BaseException as error:
            if response.headers_sent:
                self._log.exception("a request from %s failed after its response had begun", conn.host)
                raise _CutResponseError("the response is cut") from error
            raise
        return not response.should_close()

    def _finish_body(self, conn: Connection) -> bool:
        """Read what nobody has read of the body, as far as it is here; return whether it is over then."""
        conn.sock.hurry(_DRAIN_SECONDS)
        try:
            return bool(conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_SECONDS))
        except (OSError, StatusError):
            # It is answered already: a body that is late, or wrong, ends the connection and has no other answer.
            return False

    def _refuse(self, request: Any, conn: Connection, error: BaseException) -> None:
        """Answer what gunicorn refuses, or the application failed with, with a `Status`; the connection ends."""
        refused = refusal(error)
        if is_clients_mistake(error):
            code = refused.response.code
            self._log.info("refused a request from %s with %d: %s", conn.host, code, refused.message)
        else:
            shown = "a request" if request is None else f"{shown_method(request.method)} {shown_target(request.uri)}"
            self._log.error("%s from %s failed, audit id %s", shown, conn.host, refused.audit_id, exc_info=error)
        with_body = request is None or request.method != "HEAD"
        with suppress(OSError):
            conn.sock.sendall(write_response(refused.response, close=True, with_body=with_body))

    def fail_plain(self, conn: Connection, error: Exception) -> None:
        """Answer a plain request that the application failed on."""
        self._refuse(None, conn, error)


def _says_close(fields: Sequence[tuple[str, str]]) -> bool:
    """Return whether `close` is an option in any Connection field (RFC 9110 7.6.1); gunicorn sees it alone only."""
    options = ",".join(value for name, value in fields if name == "CONNECTION").lower().split(",")
    return any(option.strip(" \t") == "close" for option in options)
