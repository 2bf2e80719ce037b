"""A few threads for all polls; one that hangs leaves, and another takes its place."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

__all__ = ["Pool"]

THREADS = 8
MOST_STRAYS = 32


class Pool:
    """Runs tasks on at most so many daemon threads, which start when they are needed.

    Python's own executor waits for its threads at the end of the process, and cannot give one up.
    """

    def __init__(
        self, name: str, logger: logging.Logger, *, threads: int = THREADS, most_strays: int = MOST_STRAYS
    ) -> None:
        self._name = name
        self._logger = logger
        self._most = threads
        self._most_strays = most_strays
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._workers: dict[int, threading.Thread] = {}
        self._strays: set[int] = set()
        self._unfinished = 0
        self._stopped = False

    @property
    def strays(self) -> int:
        """How many threads have left while their task hangs."""
        return len(self._strays)

    def submit(self, task: Callable[[], None]) -> None:
        """Run the task as soon as a thread is free. It must not raise."""
        with self._lock:
            self._unfinished += 1
            self._tasks.put(task)
            self._start_if_needed()

    def leave_behind(self, worker: int) -> bool:
        """Let this thread (by its ident) leave as soon as its task returns, and put another in its place.

        False where as many as allowed have left already: it keeps its place then.
        """
        with self._lock:
            if len(self._strays) >= self._most_strays or worker not in self._workers:
                return False
            del self._workers[worker]
            self._strays.add(worker)
            self._unfinished -= 1
            self._start_if_needed()
            return True

    def stop(self, seconds: float) -> None:
        """Let the threads end, and wait so long for those that are in the middle of something."""
        with self._lock:
            self._stopped = True
            workers = list(self._workers.values())
            for _ in workers:
                self._tasks.put(None)
        deadline = time.monotonic() + seconds
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def _start_if_needed(self) -> None:
        there = len(self._workers)
        if self._stopped or there >= self._most or self._unfinished <= there:
            return
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # The machine has no thread left; those that are there go on, and the next task tries again.
            self._logger.warning("polls have %d threads instead of %d: %s", there, self._most, error)
            return
        assert thread.ident is not None  # it has started
        self._workers[thread.ident] = thread

    def _work(self) -> None:
        me = threading.get_ident()
        while (task := self._tasks.get()) is not None:
            task()
            del task  # what it holds is not kept until the next one comes
            with self._lock:
                if me in self._strays:
                    self._strays.discard(me)
                    return
                self._unfinished -= 1
