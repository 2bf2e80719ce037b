"""The places of the server's threads that wait for a peer: there are a few, and who finds none is told at once.

A thread waits for the rest of a body, and for nothing else of a peer. What is here already needs no place, and a body
mostly comes along with its head. So a client that sends what it has is served however many others send nothing.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from metrics_apiserver.concurrency.budget import BODIES

__all__ = ["CrowdedError", "PeerTooSlowError", "Waits"]


# How long a place is one's own; after that others who want one get it.
_PATIENCE_SECONDS = 1.0


class PeerTooSlowError(ConnectionResetError):
    """The peer has used its time up."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the peer took too long")


class CrowdedError(ConnectionResetError):
    """Too many threads wait for their peers."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "too many threads wait for their peers")


class Waits:
    """Counts the threads that wait for a peer."""

    def __init__(self, places: int = BODIES) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._taken = 0
        # How many found no place, and were not made room for yet.
        self._wanted = 0

    @contextmanager
    def place(self, since: float) -> Iterator[Callable[[], bool]]:
        """Hold a place; `gives_way()` says whether to leave it to somebody else. Raises CrowdedError.

        `since` is when the peer was first waited for (monotonic).
        """
        with self._lock:
            if self._taken >= self._places:
                self._wanted = min(self._wanted + 1, self._places)
                raise CrowdedError
            self._taken += 1
        try:
            yield lambda: self._gives_way(since)
        finally:
            with self._lock:
                self._taken -= 1

    def _gives_way(self, since: float) -> bool:
        """Say whether somebody wants the place of who has had it for a while; for each who was refused one goes."""
        with self._lock:
            if self._taken < self._places:
                self._wanted = 0
            if self._wanted == 0 or time.monotonic() - since < _PATIENCE_SECONDS:
                return False
            self._wanted -= 1
            return True
