"""The worker: gunicorn's threads behind a loop that waits for the peers in their place.

Which of gunicorn's internals this and the loop build on is named in `tests/serving/test_worker.py`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders

from metrics_apiserver.errors import StatusError
from metrics_apiserver.logs import shown_method, shown_target
from metrics_apiserver.serving.application import Application
from metrics_apiserver.serving.bodies import Body
from metrics_apiserver.serving.connection import HEAD_LIMIT
from metrics_apiserver.serving.loop import REQUESTS, LoopWorker, WorkerOptions
from metrics_apiserver.serving.peers import Connection, host_of
from metrics_apiserver.serving.refusals import is_clients_mistake, refusal

__all__ = ["Worker", "worker_class"]

# How long the rest of a body that nobody read goes on being read as far as it is here; what is not ends the connection.
_DRAIN_SECONDS = 0.1


class Worker(LoopWorker):
    """What a thread does with a request: gunicorn's parser and WSGI, TLS only, a `Status` for what is refused."""

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse to serve without TLS, whatever the command line says."""
        if not cfg.is_ssl:
            log.error("this worker serves HTTPS only: certfile and keyfile must be set")
            raise SystemExit(1)

    def load_wsgi(self) -> None:
        """Load the application."""
        super().load_wsgi()
        self.wsgi = Application(self.wsgi)

    def handle(self, conn: Connection) -> bool:
        """Answer the request whose head has arrived; say whether another may follow on the connection."""
        if conn.sock.head_too_large:
            too_large = LimitRequestHeaders(f"the request's head is larger than {HEAD_LIMIT} bytes")
            self.handle_error(None, conn.sock, conn.client, too_large)
            return False
        try:
            keep = bool(super().handle(conn))
        except SystemExit as error:
            # An application that wants to exit must not take the worker along.
            self.handle_error(None, conn.sock, conn.client, error)
            return False
        if keep:
            conn.sock.unread(conn.parser.unreader.take_buffered())
        return keep

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """Answer a parsed request, the last one of its connection if the server stops or it has had its share."""
        conn.requests += 1
        req.body = Body(req)
        if self._stop_at is not None or conn.requests >= REQUESTS or _says_close(req.headers):
            req.force_close()
        return bool(super().handle_request(req, conn))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001 - the signature is gunicorn's
        if not keepalive:
            return False
        conn.sock.hurry(_DRAIN_SECONDS)
        try:
            return bool(conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_SECONDS))
        except (OSError, StatusError):
            # It is answered already: a body that is late, or wrong, ends the connection and has no other answer.
            return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what gunicorn refuses, or the application failed with, with a `Status`; the connection ends."""
        if isinstance(exc, ssl.SSLError):
            self.log.debug("closing the connection of %s: %s", host_of(addr), exc)
            return
        answer = refusal(exc, with_body=getattr(req, "method", None) != "HEAD")
        if is_clients_mistake(exc):
            self.log.info("refused a request from %s with %d: %s", host_of(addr), answer.code, answer.message)
        else:
            request = f"{shown_method(req.method)} {shown_target(req.uri)}" if req is not None else "a request"
            self.log.error("%s from %s failed, audit id %s", request, host_of(addr), answer.audit_id, exc_info=exc)
        with suppress(OSError):
            client.sendall(answer.to_bytes())


def _says_close(fields: Sequence[tuple[str, str]]) -> bool:
    """Say whether `close` is an option in any Connection field (RFC 9110 7.6.1); gunicorn sees it where it is alone."""
    options = ",".join(value for name, value in fields if name == "CONNECTION").lower().split(",")
    return any(option.strip(" \t") == "close" for option in options)


def worker_class(options: WorkerOptions) -> type[Worker]:
    """Make the class that gunicorn makes its worker of: it can hand over nothing but its own configuration."""
    return type("Worker", (Worker,), {"options": options})
