"""The worker's loop: it waits for every peer, so that no thread has to.

It takes a connection through its handshake (whose arithmetic a thread of its own does), the head of each request and
the rest of each answer, all with deadlines. A thread has a connection from a complete head to an answer in memory.
"""

from __future__ import annotations

import errno
import logging
import resource
import selectors
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from gunicorn.workers import gthread

from metrics_apiserver.serving.application import call
from metrics_apiserver.serving.connection import DEADLINES, Deadlines
from metrics_apiserver.serving.peers import Connection, Peers
from metrics_apiserver.serving.stopping import Reloads, requests_share
from metrics_apiserver.serving.waits import Waits

__all__ = ["REQUESTS", "LoopWorker", "WorkerOptions"]

# How long a peer may take to close after our last word; and, when the server stops, to send a request it has begun.
_LINGER_SECONDS = 2.0
# So many requests, and a connection is closed: its client comes back, to a newer replica perhaps.
REQUESTS = 10_000
# How often deadlines are looked at, and gunicorn's master is told that the loop turns.
_TICK_SECONDS = 0.25
# Connections that are taken at once before others have their turn.
_ACCEPTS = 16
# How long a thread computes before another one has its turn (Python's default is 5 ms).
_SWITCH_SECONDS = 0.0001
# How much may wait for readers in all; beyond it those that take nothing of it are closed before their deadline.
_UNSENT = 64 << 20
# What clients may have shown of certificates in all, of which OpenSSL keeps forty times as much at worst; beyond it who
# showed most is closed. Two thousand usual ones fit.
_CERTIFICATES = 5 << 19
# What is open besides: watches of the cluster, the log, whatever providers hold.
_OTHER_FILES = 256
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What gunicorn's own configuration cannot say."""

    deadlines: Deadlines = DEADLINES
    # How long a server that is told to stop goes on accepting, not ready any more, until nobody sends it requests.
    shutdown_delay: float = 0.0
    reloads: Reloads = field(default_factory=Reloads)


class LoopWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's thread worker with another loop; `handle` is what a thread does with a complete head."""

    options: ClassVar[WorkerOptions] = WorkerOptions()
    alive: bool
    log: logging.Logger
    wsgi: Any
    _accepting: bool
    worker_connections: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is left of it, as the master counts, when the delay is over.
        self.graceful_timeout: int = max(0, self.cfg.graceful_timeout - round(self.options.shutdown_delay))
        # gunicorn closes beyond this many idle ones; here whoever has been silent for longest gives way, when need be.
        self.max_keepalived = self.worker_connections
        self._reload = self.options.reloads.count
        self._unsent = self._certificates = 0
        self._waits = Waits()
        # When the delay of a stop is over, and when the time of the requests is.
        self._stop_at: float | None = None
        self._end = 0.0

    def init_process(self) -> None:
        """Take as many file descriptors as the connections need, where the system lets us, as Go's programs do."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self.worker_connections + _OTHER_FILES
        if soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
        if hard < needed:
            self.worker_connections = max(1, hard - _OTHER_FILES)
            self.log.warning("only %d connections: the limit of open files is %d", self.worker_connections, hard)
        # The loop must not wait for long while a thread computes.
        sys.setswitchinterval(_SWITCH_SECONDS)
        super().init_process()

    # Stopping.

    def handle_exit(self, _signal: int, _frame: Any) -> None:
        """Begin to stop, on the main loop: the signal may have come while a lock is held."""
        # A second signal may come when the queue is closed already.
        if self.alive:
            self.method_queue.defer(self._drain)

    def _drain(self) -> None:
        """Say that no new request should come here; stop after the delay, or at the second signal.

        On a reload the next worker listens already: nothing is said, and there is nothing to wait for.
        """
        first, self._stop_at = self._stop_at is None, time.monotonic()
        if first and self.options.reloads.count == self._reload:
            self._stop_at += self.options.shutdown_delay
            call(self, "drain")

    def _stop(self) -> None:
        """Take what is in the backlog, and let the kernel refuse the next, as it does when the last process closes.

        The master has closed, if all stops. On a reload it and the next worker listen on, and the next is theirs.
        """
        self.alive = False
        self.set_accept_enabled(False)
        for listener in self.sockets:
            while self.nr_conns < self.worker_connections and self._accept_one(listener):
                pass
            listener.close()
        self._end = time.monotonic() + requests_share(self.graceful_timeout)
        for conn in self._peers:
            if not conn.sock.unsent:
                conn.deadline = min(conn.deadline, self._peers.now() + _LINGER_SECONDS)

    # The loop.

    def run(self) -> None:
        """Serve until the end: that of the last request after a signal, of the time for it, or of the master."""
        self._peers = Peers(self.poller, self._go)
        self._handshakes = ThreadPoolExecutor(1, thread_name_prefix="handshake")
        self._answer = getattr(self.wsgi, "answer", None)
        queue = self.method_queue
        self.poller.register(queue.fileno(), selectors.EVENT_READ, partial(queue.run_callbacks, None))
        try:
            self._turn()
        finally:
            # Also when a signal raises SystemExit.
            self._handshakes.shutdown(wait=False)
            self.tpool.shutdown(wait=False)
        self.set_accept_enabled(False)
        for conn in self._peers:
            self._drop(conn)
        self.poller.close()
        # The queue stays open until the process ends: a thread that comes back late wakes it, and would write into
        # whatever had its descriptor by then.
        for listener in self.sockets:
            listener.close()

    def _turn(self) -> None:
        tick = 0.0
        while self.alive or (self.nr_conns and time.monotonic() < self._end):
            if tick <= time.monotonic():
                tick = time.monotonic() + _TICK_SECONDS
                self.notify()
                if not self.is_parent_alive():
                    break
                self._close_overdue()
                self.set_accept_enabled(self.alive)
            for key, _ in self._peers.select(self._pause(tick)):
                key.data()
            if self.alive and self._stop_at is not None and self._stop_at <= time.monotonic():
                self._stop()

    def _pause(self, tick: float) -> float:
        until = min(tick, self._stop_at or tick) if self.alive else min(tick, self._end)
        return max(0.0, until - time.monotonic())

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - the signature is gunicorn's
        """Listen, or leave what comes in the backlog."""
        if enabled == self._accepting:
            return
        for listener in self.sockets:
            if enabled:
                listener.setblocking(False)  # noqa: FBT003 - the standard library takes it by position
                self.poller.register(listener, selectors.EVENT_READ, partial(self.accept, listener))
            else:
                self.poller.unregister(listener)
        self._accepting = enabled

    def accept(self, listener: Any) -> None:
        """Accept what has come; where there is no room, a peer that is silent, or does not read, gives way.

        Where each has a request under way, what comes stays in the backlog until the next tick.
        """
        for _ in range(_ACCEPTS):
            full = self.nr_conns >= self.worker_connections
            oldest = self._peers.to_give_way() if full else None
            if full and oldest is None:
                self.set_accept_enabled(False)
                break
            if not self._accept_one(listener):
                break
            if oldest is not None:
                self.log.debug("closing the connection of %s to make room", oldest.host)
                self._drop(oldest)

    def _accept_one(self, listener: Any) -> bool:
        """Accept a connection, and say whether there was one."""
        try:
            client_sock, client_addr = listener.accept()
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                self.log.warning("cannot accept a connection: %s", error.strerror)
                # Until the next tick: it would be tried again at once, and for ever.
                self.set_accept_enabled(False)
            return False
        conn = Connection(self.cfg, client_sock, client_addr, listener.getsockname())
        self.nr_conns += 1
        try:
            conn.wrap(self.options.deadlines, self._waits)
        except Exception:
            self.log.exception("cannot set up a connection")
            self._drop(conn)
            return True
        self._peers.wait(conn, selectors.EVENT_READ, self._shake, seconds=self.options.deadlines.handshake)
        return True

    def _close_overdue(self) -> None:
        for conn in self._peers.overdue():
            self._drop(conn)
        if self._unsent > _UNSENT:
            for conn in self._peers.stalled():
                self._drop(conn)
                if self._unsent <= _UNSENT:
                    break

    def _drop(self, conn: Connection) -> None:
        if not conn.closed:
            conn.closed = True
            self._peers.leave(conn)
            self._count_unsent(conn, 0)
            self._certificates -= conn.certificates
            self.nr_conns -= 1
            with suppress(OSError):
                conn.close()

    # The steps of a connection, on the loop.

    def _go(self, conn: Connection, step: Callable[..., None] | None = None, *results: Any) -> None:
        """Take a connection's next step; what fails is its end, and nobody else's."""
        # Closed to make room, while its event or its thread's answer was on the way; or `_read_on` has read what its
        # event was for in the same turn, and a thread has the connection by now.
        if conn.closed or (step is None and not conn.event):
            return
        try:
            (step or conn.step)(conn, *results)
        except OSError as error:
            # Failed handshakes, plain HTTP and noise on this port, resets: nothing that could be answered.
            self.log.debug("closing the connection of %s: %s", conn.host, error)
            self._part(conn)
        except Exception:
            self.log.exception("closing a connection that cannot be served")
            self._drop(conn)

    def _on(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[[], Any],
        conn: Connection,
        then: Callable[[Connection, Future[Any]], None],
    ) -> None:
        """Let a pool's thread have the connection, and take the next step when it comes back."""
        self._peers.leave(conn)
        pool.submit(work).add_done_callback(partial(self.method_queue.defer, self._go, conn, then))

    def _shake(self, conn: Connection) -> None:
        """Go on with the handshake, on the thread for handshakes: its arithmetic takes a millisecond."""
        self._on(self._handshakes, conn.sock.handshake, conn, self._shaken)

    def _shaken(self, conn: Connection, future: Future[int]) -> None:
        event = future.result()
        if event and self._peers.is_overdue(conn):
            # It was on the thread, where no tick sees it, and its data may always be here.
            self._drop(conn)
        elif event:
            self._peers.wait(conn, event, self._shake)
        else:
            self._peers.wait(conn, selectors.EVENT_READ, self._read, seconds=self.options.deadlines.head)
            self._count_certificates(conn)
            # Unless it had to give way itself.
            if not conn.closed:
                self._read(conn)

    def _count_certificates(self, conn: Connection) -> None:
        conn.certificates = conn.sock.certificate_bytes
        self._certificates += conn.certificates
        while self._certificates > _CERTIFICATES:
            heaviest = self._peers.heaviest()
            if heaviest is None or not heaviest.certificates:
                # The others are with threads.
                break
            self.log.debug("closing the connection of %s: clients showed too much of certificates", heaviest.host)
            self._drop(heaviest)

    def _read(self, conn: Connection) -> None:
        """Go on with the head of a request, and begin to answer it when it is complete."""
        event = conn.sock.read_head(self.cfg.limit_request_line)
        if conn.sock.left:
            self._drop(conn)
        elif event:
            begun = conn.idle and conn.sock.readable
            conn.idle = conn.idle and not begun
            self._peers.wait(conn, event, self._read, seconds=self.options.deadlines.head if begun else None)
        else:
            conn.idle = False
            if not self._answered(conn):
                self._on(self.tpool, partial(self.handle, conn), conn, self.finish_request)

    def _read_on(self, conn: Connection) -> None:
        """Go on with what is here already, unless its event came first.

        A thread may have the connection by now, or an answer that it does not read.
        """
        conn.due = False
        if conn.event and conn.step == self._read:
            self._read(conn)

    def _answered(self, conn: Connection) -> bool:
        """Answer a plain GET at once, if the application can: what is in memory needs no thread."""
        answer = self._answer
        head = conn.sock.plain_get() if answer is not None else None
        if answer is None or head is None:
            return False
        close = head.close or self._stop_at is not None or conn.requests >= REQUESTS - 1
        made = answer(head.target, head.pairs, conn.sock.peer_certificate, close=close)
        if made is None:
            return False
        conn.requests += 1
        conn.sock.answer(head, made)
        self._send(conn, keep=not close)
        return True

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """Send the answer that a thread has made."""
        self._send(conn, keep=bool(fs.result()))

    def _send(self, conn: Connection, *, keep: bool) -> None:
        """Begin to write an answer; `keep` says whether the connection lives on after it."""
        conn.keep = keep
        conn.moved = self._peers.now()
        conn.deadline = conn.moved + self.options.deadlines.answer
        self._write(conn)

    def _write(self, conn: Connection) -> None:
        """Go on with an answer; after it comes the next request, or the end."""
        before = conn.sock.unsent
        event = conn.sock.write()
        if conn.sock.unsent < before:
            conn.moved = self._peers.now()
        self._count_unsent(conn, conn.sock.unsent)
        if event:
            self._peers.wait(conn, event, self._write)
        elif conn.keep and not conn.sock.left:
            conn.idle = True
            seconds = self.cfg.keepalive if self.alive else _LINGER_SECONDS
            self._peers.wait(conn, selectors.EVENT_READ, self._read, seconds=seconds)
            if conn.sock.readable and not conn.due:
                # In its turn: a client that sends one request after the other keeps nobody waiting.
                conn.due = True
                self.method_queue.defer(self._go, conn, self._read_on)
        else:
            self._part(conn)

    def _part(self, conn: Connection) -> None:
        """Say goodbye, and linger: what the peer still sends must not reset our last words (RFC 9112 9.6)."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
        else:
            self._peers.wait(conn, selectors.EVENT_READ, self._linger, seconds=_LINGER_SECONDS)

    def _linger(self, conn: Connection) -> None:
        if not conn.sock.discard():
            self._drop(conn)

    def _count_unsent(self, conn: Connection, unsent: int) -> None:
        self._unsent += unsent - conn.counted
        conn.counted = unsent
