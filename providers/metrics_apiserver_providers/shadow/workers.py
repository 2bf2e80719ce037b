"""A few threads of their own that do what nobody waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Workers"]

# Jobs that may wait, for each thread.
_WAITING = 4
_STOP_SECONDS = 2.0


class Workers:
    """Daemon threads, so that one that hangs holds up no stop; what is too much for them is refused."""

    def __init__(self, name: str, count: int, *, logger: logging.Logger) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._most = count * _WAITING
        self._logger = logger
        # Held for a moment: nothing starts after the stop.
        self._lock = threading.Lock()
        self._running = self._stopped = False
        self._threads = [
            threading.Thread(target=self._run, name=f"shadow-{name}-{number}", daemon=True) for number in range(count)
        ]

    def start(self) -> bool:
        """Start the threads; once. False where they were stopped before that."""
        with self._lock:
            if self._stopped:
                return False
            self._running = True
            for thread in self._threads:
                thread.start()
        return True

    def submit(self, job: Callable[[], None]) -> bool:
        """Have a job done, and return at once; False when there is no room for it."""
        if not self._running or self._jobs.qsize() >= self._most:
            return False
        self._jobs.put(job)
        return True

    def stop(self) -> bool:
        """End the threads without what still waits; False when one hangs and is left behind."""
        with self._lock:
            self._running, self._stopped = False, True
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not self._running:
                continue
            try:
                job()
            except BaseException:
                self._logger.exception("a comparison failed")
