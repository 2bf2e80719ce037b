"""The worker: gunicorn's threads, in which a thread is busy only with requests whose head has arrived.

The main loop keeps every other connection in its poller, each with a deadline: silent ones, half handshakes, half
heads, and those that were told to close and have not. Which of gunicorn's internals this builds on is named in
`tests/serving/test_worker.py`.
"""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import http, sock
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers import gthread

from app.serving.application import Application
from app.serving.connection import HEAD_LIMIT, TLSConnection
from app.serving.refusals import is_clients_mistake, refusal
from app.serving.stopping import requests_share

__all__ = ["Worker"]

# How long a peer may take to close after our last word.
_LINGER_SECONDS = 2.0
# How long the rest of a body that nobody read is waited for before the connection is given up.
_DRAIN_SECONDS = 0.1
_PARK = object()
_CLIENT_GONE = (errno.EAGAIN, errno.ECONNABORTED, errno.EPROTO)


class Connection(gthread.TConn):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's connection, wrapped in TLS from the start; the handshake follows when the peer has sent something."""

    initialized: bool
    sock: TLSConnection
    parser: Any
    timeout: float
    # What the poller waits for while the connection is parked.
    event = selectors.EVENT_READ

    def init(self) -> None:
        """Wrap the socket, once."""
        if not self.initialized:
            self.initialized = True
            self.sock = sock.ssl_wrap_socket(self.sock, self.cfg)
            self.parser = http.get_parser(self.cfg, self.sock, self.client)
            self.timeout = self.sock.deadline or 0.0

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is gunicorn's
        """Say goodbye if possible, and close. Never waits: who lingers for the peer is the worker."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.sock.close()


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's thread worker, for TLS only, with deadlines, and with `Status` objects for what it refuses."""

    alive: bool
    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections whose deadlines differ, so not gunicorn's queue; its own code only ever removes from it.
        self.pending_conns: set[Connection] = set()
        # The whole of it, as the master counts; and when it is over for the requests.
        self.graceful_timeout: int = self.cfg.graceful_timeout
        self._end = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse to serve without TLS, whatever the command line says."""
        super().check_config(cfg, log)
        if not cfg.is_ssl:
            log.error("this worker serves HTTPS only: certfile and keyfile must be set")
            raise SystemExit(1)

    def load_wsgi(self) -> None:
        """Load the application."""
        super().load_wsgi()
        self.wsgi = Application(self.wsgi)

    # Stopping.

    def init_process(self) -> None:
        """Serve until the end; the requests' share of the graceful timeout is what gunicorn's loop waits for."""
        # This process's own copy of the configuration: the master keeps the whole.
        self.cfg.set("graceful_timeout", requests_share(self.graceful_timeout))
        super().init_process()

    def handle_exit(self, _signal: int, _frame: Any) -> None:
        """Begin to stop, on the main loop: the signal may have come while a lock is held."""
        # A second signal may come when the queue is closed already.
        if self.alive:
            self.method_queue.defer(self._stop)

    def _stop(self) -> None:
        if self.alive:
            drain = getattr(self.wsgi, "drain", None)
            if drain is not None:
                drain()
            self.alive = False
            self._stop_listening()
            self._end = time.monotonic() + self.cfg.graceful_timeout + 0.01

    def _stop_listening(self) -> None:
        """Take what is in the backlog, and let the kernel refuse the next, as it does when the last process closes.

        The master has closed, if all stops. On a reload it and the next worker listen on, and the next is theirs.
        """
        self.set_accept_enabled(False)
        for listener in self.sockets:
            while self.nr_conns < self.worker_connections and self._accept_one(listener):
                pass
            listener.close()

    # The main loop.

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, and not beyond the end of the requests' time, which gunicorn sees once a second only."""
        if not self.alive:
            timeout = max(0.0, min(timeout, self._end - time.monotonic()))
        super().wait_for_and_dispatch_events(timeout)

    def accept(self, listener: Any) -> None:
        """Accept a connection and wait for its first bytes, in the poller and not in a thread."""
        if self.alive:
            self._accept_one(listener)

    def _accept_one(self, listener: Any) -> bool:
        """Accept a connection, and say whether there was one."""
        try:
            client_sock, client_addr = listener.accept()
        except OSError as error:
            if error.errno not in _CLIENT_GONE:
                self.log.warning("cannot accept a connection: %s", error.strerror)
            return False
        conn = Connection(self.cfg, client_sock, client_addr, listener.getsockname())
        self.nr_conns += 1
        try:
            conn.init()
        except Exception:
            self.log.exception("cannot set up a connection")
            self._drop(conn)
            return True
        self._park(conn, self.on_pending_socket_readable)
        return True

    def _park(self, conn: Connection, callback: Callable[[Connection, Any], None]) -> None:
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + gthread.STOP_KEEPALIVE_LINGER)
        self.pending_conns.add(conn)
        self.poller.register(conn.sock, conn.event, partial(callback, conn))

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """Put the connection where it goes on, after a thread has done what it could."""
        result: object = False
        if not fs.cancelled() and fs.exception() is None:
            result = fs.result()
        try:
            if result is _PARK:
                conn.timeout = conn.sock.deadline or 0.0
                self._park(conn, self.on_pending_socket_readable)
            elif not result:
                self._linger(conn)
            elif conn.sock.readable:
                self.enqueue_req(conn)
            else:
                super().finish_request(conn, fs)
        except Exception:
            self.log.exception("cannot keep a connection")
            self._drop(conn)

    def _linger(self, conn: Connection) -> None:
        """Close as RFC 9112 9.6 asks: what the peer still sends must not reset the connection under the answer."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.event = selectors.EVENT_READ
        conn.timeout = time.monotonic() + _LINGER_SECONDS
        self._park(conn, self._on_lingering_readable)

    def _on_lingering_readable(self, conn: Connection, client: Any) -> None:
        if not conn.sock.discard():
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._drop(conn)

    def murder_pending(self) -> None:
        """Close what is past its deadline."""
        now = time.monotonic()
        for conn in [conn for conn in self.pending_conns if conn.timeout <= now]:
            self.pending_conns.remove(conn)
            self.poller.unregister(conn.sock)
            self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self.nr_conns -= 1
        with suppress(OSError):
            conn.close()

    # The threads.

    def handle(self, conn: Connection) -> object:
        """Go on with a connection that has sent something: its handshake, its head, and then its request."""
        try:
            conn.event = conn.sock.advance(self.cfg.limit_request_line)
        except OSError as error:
            # Failed handshakes, plain HTTP and noise on this port, resets: nothing that could be answered.
            self.log.debug("closing the connection of %s: %s", _host(conn.client), error)
            return False
        if conn.event:
            return _PARK
        if conn.sock.head_too_large:
            too_large = LimitRequestHeaders(f"the request's head is larger than {HEAD_LIMIT} bytes")
            self.handle_error(None, conn.sock, conn.client, too_large)
            return False
        try:
            keep = super().handle(conn)
        except SystemExit as error:
            # An application that wants to exit must not take the worker along.
            self.handle_error(None, conn.sock, conn.client, error)
            return False
        if keep:
            conn.sock.unread(conn.parser.unreader.take_buffered())
        return keep

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001 - the signature is gunicorn's
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_SECONDS))

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what gunicorn refuses, or the application failed with, with a `Status`; the connection ends."""
        if isinstance(exc, ssl.SSLError):
            self.log.debug("closing the connection of %s: %s", _host(addr), exc)
            return
        answer = refusal(exc, with_body=getattr(req, "method", None) != "HEAD")
        if is_clients_mistake(exc):
            self.log.info("refused a request from %s with %d: %s", _host(addr), answer.code, answer.message)
        else:
            request = f"{req.method} {req.uri}" if req is not None else "a request"
            self.log.error("%s from %s failed, audit id %s", request, _host(addr), answer.audit_id, exc_info=exc)
        with suppress(OSError):
            client.sendall(answer.to_bytes())


def _host(address: Any) -> str:
    return str(address[0]) if isinstance(address, tuple) else "a local peer"
