"""The connections that wait for their peer: in the loop's poller, each with what comes next and until when."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gunicorn.http.parser import RequestParser

from metrics_apiserver.serving.connection import Deadlines, TLSConnection
from metrics_apiserver.serving.waits import Waits

__all__ = ["Connection", "Peers", "host_of"]

# Who takes nothing of its answer for so long is not reading it.
_STALLED_SECONDS = 1.0
# A turn of the loop that took so much longer than it should have was held up, and no peer is late because of that.
_HELD_SECONDS = 0.5


class Connection:
    """A connection in the loop: its socket, and how far it is."""

    def __init__(self, sock: TLSConnection, parser: RequestParser, client: Any, server: Any) -> None:
        self.sock = sock
        # gunicorn's, for what is not plain.
        self.parser = parser
        # The addresses of the peer, and that it came to.
        self.client, self.server = client, server
        # The selectors event that the poller waits for; 0 while it does not.
        self.event = 0
        # What the loop does when the event comes, and when it is too late for it.
        self.step: Callable[[Connection], None] = _nothing
        self.deadline = 0.0
        # Whether it has been answered, and has not begun another request yet.
        self.idle = False
        # Whether the loop is to read on although no event may come: the next request is here already.
        self.due = False
        self.requests = 0
        # Whether it lives on after the response that is being written, and how much of that is counted as unsent.
        self.keep = False
        # When a part of it was last taken.
        self.moved = 0.0
        self.counted = 0
        # How much of certificates is counted for it.
        self.certificates = 0
        self.closed = False

    @classmethod
    def accepted(
        cls, cfg: Any, sock: socket.socket, client: Any, server: Any, *, deadlines: Deadlines, waits: Waits
    ) -> Connection:
        """Wrap a socket in TLS; the handshake is the loop's to do, and `waits` has the places of threads."""
        wrapped = cfg.ssl_context(cfg, None).wrap_socket(sock)
        wrapped.deadlines, wrapped.waits = deadlines, waits
        return cls(wrapped, RequestParser(cfg, wrapped, client), client, server)

    @property
    def host(self) -> str:
        """The peer's address, for the log."""
        return host_of(self.client)

    def close(self) -> None:
        """Close the socket. Never waits: it is the loop that lingers for the peer."""
        self.sock.close()


class Peers:
    """The connections in the poller, the one that has waited longest first; `go` is called when its event comes.

    They have a clock of their own, which stands still while the loop is held up (by its own work, by a machine that has
    no time for it, by SIGSTOP): deadlines are in its seconds.
    """

    def __init__(
        self,
        poller: selectors.BaseSelector,
        go: Callable[[Connection], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poller = poller
        self._go = go
        self._clock = clock
        self._waiting: dict[Connection, None] = {}
        # For how long the loop was held up in all, and when the poller last gave an answer.
        self._held = 0.0
        self._answered = clock()
        # When the poller was last asked: what had come by then has been read since.
        self._asked = self.now()

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._waiting))

    def now(self) -> float:
        """Return the seconds of the peers' clock."""
        return self._clock() - self._held

    def select(self, pause: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for what comes, for `pause` seconds at most."""
        asked = self._clock()
        self._stand_still(asked - self._answered)
        self._asked = self.now()
        found = self._poller.select(pause)
        self._answered = self._clock()
        self._stand_still(self._answered - asked - pause)
        return found

    def _stand_still(self, seconds: float) -> None:
        if seconds > _HELD_SECONDS:
            self._held += seconds

    def is_overdue(self, conn: Connection) -> bool:
        """Return whether its time was over when the poller was last asked, and so before it was last read."""
        return conn.deadline <= self._asked

    def wait(
        self, conn: Connection, event: int, step: Callable[[Connection], None], *, seconds: float | None = None
    ) -> None:
        """Wait for an event of a connection: `seconds` from now, or else as long as was said before."""
        conn.step = step
        if seconds is not None:
            conn.deadline = self.now() + seconds
            self._waiting.pop(conn, None)
        self._waiting[conn] = None
        if conn.event == 0:
            self._poller.register(conn.sock, event, partial(self._go, conn))
        elif conn.event != event:
            self._poller.modify(conn.sock, event, partial(self._go, conn))
        conn.event = event

    def leave(self, conn: Connection) -> None:
        """Wait for it no longer."""
        if conn.event:
            self._poller.unregister(conn.sock)
            conn.event = 0
        self._waiting.pop(conn, None)

    def overdue(self) -> list[Connection]:
        """List those whose time is over although all that they had sent by then was read."""
        return [conn for conn in self._waiting if self.is_overdue(conn)]

    def heaviest(self) -> Connection | None:
        """Return the one whose client showed most of certificates; of several the one that has waited longest."""
        return max(self._waiting, key=lambda conn: conn.certificates, default=None)

    def to_give_way(self) -> Connection | None:
        """Return the one that has been silent for longest; if each has an answer to read, the one that reads least.

        None while all of them read.
        """
        silent = next((conn for conn in self._waiting if not conn.sock.unsent), None)
        return silent or next(iter(self.stalled()), None)

    def stalled(self) -> list[Connection]:
        """List those that take nothing of their answer, the one that has not for longest first."""
        limit = self.now() - _STALLED_SECONDS
        found = [conn for conn in self._waiting if conn.sock.unsent and conn.moved < limit]
        return sorted(found, key=lambda conn: conn.moved)


def host_of(address: Any) -> str:
    """Return the host of a socket's address, for the log."""
    return str(address[0]) if isinstance(address, tuple) else "a local peer"


def _nothing(_conn: Connection) -> None:
    """What a connection does that waits for nothing."""
