"""Answers of many items are written one after the other, and few requests wait for their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from metrics_apiserver.concurrency.budget import LARGE_ANSWERS, Room
from metrics_apiserver.errors import ServiceUnavailableError

__all__ = ["Turns"]

# Each takes a second at the worst, of a hundred thousand items.
_SECONDS = 10.0


class Turns:
    """One has its turn, and so many others wait for theirs, each for a while.

    Each answer is a part of a second of computing: one after the other they leave more of it to everybody else.
    """

    def __init__(self, most: int = LARGE_ANSWERS, *, seconds: float = _SECONDS) -> None:
        """Let `most` requests in, the one that has its turn among them, each for `seconds` until its turn."""
        self.room = Room(most)
        self._seconds = seconds
        self._turn = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and keep it meanwhile. Raises ServiceUnavailableError where too many wait, or it is late."""
        if not self.room.enter():
            raise ServiceUnavailableError("too many answers of thousands of items are being written: try again")
        try:
            if not self._turn.acquire(timeout=self._seconds):
                raise ServiceUnavailableError(
                    f"other answers of thousands of items took longer than {self._seconds:g} s: try again"
                )
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self.room.leave()
