"""What other threads and signals have the loop do: they wake it, and it does it in its turn."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from contextlib import suppress
from functools import partial

__all__ = ["Callbacks"]

# So many of them, and the peers have their turn.
_MOST = 64


class Callbacks:
    """A queue with a pipe that the loop's poller watches.

    It is never closed: a thread that comes back late wakes it, and would else write into whatever has its descriptor.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._queue: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def fileno(self) -> int:
        """Return the descriptor that is readable while something waits."""
        return self._reading

    def defer(self, function: Callable[..., object], *arguments: object) -> None:
        """Have the loop call a function. Called by any thread, and in signal handlers."""
        self._queue.put(partial(function, *arguments))
        self._wake()

    def run(self) -> None:
        """Call what waits, in its order; what is too much for one turn has another."""
        with suppress(BlockingIOError):
            os.read(self._reading, 1 << 16)
        for _ in range(_MOST):
            try:
                call = self._queue.get_nowait()
            except queue.Empty:
                return
            call()
        self._wake()

    def _wake(self) -> None:
        # A full pipe wakes the loop as well.
        with suppress(BlockingIOError):
            os.write(self._writing, b"\0")
