"""The connections of the loop, which waits for every peer so that no thread has to.

A connection goes through these states; each waits for its peer in the poller, with a deadline. Two do not: there a
thread has the connection, and the loop waits for the thread.

    accepted ──> shaking hands <──> thread: a handshake's arithmetic
                      │
                      v
        ┌──>  reading a head ──────────────────────┐ plain, and answered from memory
        │             │ anything else              │
        │             v                            │
        │     thread: respond, or parser and WSGI  │
        │             │                            │
        │             v                            v
        └──── writing the response <───────────────┘
    keep-alive        │ close, or the server stops
                      v
                  parting (our last word is sent) ──> lingering (the peer's is awaited) ──> closed

An error of the peer's parts with it; too late, or in the way of others, closes at once.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from metrics_apiserver.logs.seldom import Seldom
from metrics_apiserver.serving.callbacks import Callbacks
from metrics_apiserver.serving.connection import Deadlines
from metrics_apiserver.serving.held import Held
from metrics_apiserver.serving.listening import MakeRoom
from metrics_apiserver.serving.peers import Connection, Peers
from metrics_apiserver.serving.records import PlainHTTPError
from metrics_apiserver.serving.requests import Requests
from metrics_apiserver.serving.waits import Waits

__all__ = ["Connections"]

# How long a peer may take to close after our last word; and, when the server stops, to send a request it has begun.
_LINGER_SECONDS = 2.0
# What Go's servers say (net/http `conn.serve`).
_PLAIN_ANSWER = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class Connections:
    """All open connections, `most` at the most; `cfg` is gunicorn's configuration."""

    def __init__(
        self,
        poller: selectors.BaseSelector,
        callbacks: Callbacks,
        requests: Requests,
        cfg: Any,
        log: logging.Logger,
        *,
        deadlines: Deadlines,
        most: int,
    ) -> None:
        self._callbacks = callbacks
        self._requests = requests
        self._cfg = cfg
        self._log = log
        self._deadlines = deadlines
        self._most = most
        self._waits = Waits()
        self._peers = Peers(poller, self._go)
        self._held = Held(self._peers)
        self._idle_seconds: float = cfg.keepalive
        self._threads = ThreadPoolExecutor(cfg.threads, thread_name_prefix="request")
        self._handshakes = ThreadPoolExecutor(1, thread_name_prefix="handshake")
        self.count = 0
        # A prober that has the wrong scheme comes again and again: one line a minute.
        self._plain = Seldom()

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return self.count >= self._most

    def select(self, pause: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for what comes, for `pause` seconds at most."""
        return self._peers.select(pause)

    def begin_to_end(self) -> None:
        """Close those soon that have no request under way."""
        self._idle_seconds = _LINGER_SECONDS
        for conn in self._peers:
            if not conn.sock.unsent:
                conn.deadline = min(conn.deadline, self._peers.now() + _LINGER_SECONDS)

    def leave_threads(self) -> None:
        """Let the threads end that have nothing to do; nobody waits for the others here."""
        self._handshakes.shutdown(wait=False)
        self._threads.shutdown(wait=False)

    def close(self) -> None:
        """Close all."""
        for conn in self._peers:
            self._drop(conn)

    def room(self) -> MakeRoom | None:
        """Return what makes room for one connection more: nothing, or that a silent peer, or a slow reader, gives way.

        None where each has a request under way: what comes stays in the backlog until the next tick.
        """
        if not self.full:
            return _nothing
        oldest = self._peers.to_give_way()
        return None if oldest is None else partial(self._give_way, oldest, "to make room")

    def take(self, sock: socket.socket, client: Any, server: Any) -> None:
        """Begin with a connection that was accepted."""
        try:
            conn = Connection.accepted(self._cfg, sock, client, server, deadlines=self._deadlines, waits=self._waits)
        except Exception:  # noqa: BLE001 - it is logged, and the next may be better
            self._log.exception("cannot set up a connection")
            sock.close()
            return
        self.count += 1
        self._peers.wait(conn, selectors.EVENT_READ, self._shake, seconds=self._deadlines.handshake)

    def close_overdue(self) -> None:
        for conn in self._peers.overdue():
            self._drop(conn)
        while (stalled := self._held.stalled()) is not None:
            self._drop(stalled)

    def _give_way(self, conn: Connection, why: str) -> None:
        self._log.debug("closing the connection of %s: %s", conn.host, why)
        self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        if not conn.closed:
            conn.closed = True
            self._peers.leave(conn)
            self._held.forget(conn)
            self.count -= 1
            with suppress(OSError):
                conn.close()

    def _go(self, conn: Connection, step: Callable[..., None] | None = None, *results: Any) -> None:
        """Take a connection's next step; what fails is its end, and nobody else's."""
        # Closed to make room, while its event or its thread's answer was on the way; or `_read_on` has read what its
        # event was for in the same turn, and a thread has the connection by now.
        if conn.closed or (step is None and not conn.event):
            return
        try:
            (step or conn.step)(conn, *results)
        except PlainHTTPError:
            self._refuse_plain(conn)
        except OSError as error:
            # Failed handshakes, noise on this port, resets: nothing that could be answered.
            self._log.debug("closing the connection of %s: %s", conn.host, error)
            self._part(conn)
        except Exception:  # noqa: BLE001 - it is logged, and harms no other connection
            self._log.exception("closing a connection that cannot be served")
            self._drop(conn)

    def _refuse_plain(self, conn: Connection) -> None:
        """Say that this port speaks HTTPS, as Go's servers do."""
        if self._plain.allows("plain"):
            self._log.info("%s speaks plain HTTP to this port, which serves HTTPS, and is answered 400", conn.host)
        try:
            conn.sock.refuse_plain(_PLAIN_ANSWER)
        except OSError:
            self._drop(conn)
        else:
            self._peers.wait(conn, selectors.EVENT_READ, self._linger, seconds=_LINGER_SECONDS)

    def _on(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[[], Any],
        conn: Connection,
        then: Callable[[Connection, Future[Any]], None],
    ) -> None:
        """Let a pool's thread have the connection, and take the next step when it comes back."""
        self._peers.leave(conn)
        pool.submit(work).add_done_callback(partial(self._callbacks.defer, self._go, conn, then))

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
            self._peers.wait(conn, selectors.EVENT_READ, self._read, seconds=self._deadlines.head)
            self._held.count_certificates(conn)
            while (heaviest := self._held.heaviest()) is not None:
                self._give_way(heaviest, "clients showed too much of certificates")
            # Unless it had to give way itself.
            if not conn.closed:
                self._read(conn)

    def _read(self, conn: Connection) -> None:
        """Go on with the head of a request, and begin to answer it when it is complete."""
        event = conn.sock.read_head(self._cfg.limit_request_line)
        if conn.sock.left:
            self._drop(conn)
        elif event:
            begun = conn.idle and conn.sock.readable
            conn.idle = conn.idle and not begun
            self._peers.wait(conn, event, self._read, seconds=self._deadlines.head if begun else None)
        else:
            conn.idle = False
            self._answer(conn)

    def _read_on(self, conn: Connection) -> None:
        """Go on with what is here already, unless its event came first.

        A thread may have the connection by now, or an answer that it does not read.
        """
        conn.due = False
        if conn.event and conn.step == self._read:
            self._read(conn)

    def _answer(self, conn: Connection) -> None:
        """Answer a plain GET here and now, if the application can; let a thread have all else."""
        head = conn.sock.plain_get()
        try:
            answered = head is not None and self._requests.answer_plain(conn, head, may_wait=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the end of this connection alone
            self._requests.fail_plain(conn, error)
            self._send(conn, keep=False)
            return
        if answered:
            self._send(conn, keep=conn.keep)
        else:
            self._on(self._threads, partial(self._requests.handle, conn, head), conn, self._handled)

    def _handled(self, conn: Connection, future: Future[bool]) -> None:
        """Send the response that a thread has made."""
        self._send(conn, keep=future.result())

    def _send(self, conn: Connection, *, keep: bool) -> None:
        """Begin to write a response; `keep` says whether the connection lives on after it."""
        conn.keep = keep
        conn.moved = self._peers.now()
        conn.deadline = conn.moved + self._deadlines.answer
        self._write(conn)

    def _write(self, conn: Connection) -> None:
        """Go on with a response; after it comes the next request, or the end."""
        before = conn.sock.unsent
        event = conn.sock.write()
        if conn.sock.unsent < before:
            conn.moved = self._peers.now()
        self._held.count_unsent(conn)
        if event:
            self._peers.wait(conn, event, self._write)
        elif conn.keep and not conn.sock.left:
            conn.idle = True
            self._peers.wait(conn, selectors.EVENT_READ, self._read, seconds=self._idle_seconds)
            if conn.sock.readable and not conn.due:
                # In its turn: a client that sends one request after the other keeps nobody waiting.
                conn.due = True
                self._callbacks.defer(self._go, conn, self._read_on)
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


def _nothing() -> None:
    """Do nothing: there is room already."""
