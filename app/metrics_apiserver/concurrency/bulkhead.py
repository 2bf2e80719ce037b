"""Slots: threads on which so many calls run at once, as those of one provider do, and none of the server's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

__all__ = ["Bulkhead"]

_Result = TypeVar("_Result")

_logger = logging.getLogger("metrics_apiserver")


class Bulkhead:
    """Runs calls on daemon threads of its own, which are used again; a call that hangs keeps its thread."""

    def __init__(self, name: str, size: int) -> None:
        """Run `size` calls at once at most; a thread is started when it is needed first."""
        self.size = size
        self._name = name
        # None ends the thread that takes it; there is one for each that is idle.
        self._jobs: SimpleQueue[Callable[[], bool] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._busy = self._idle = self._started = 0
        self._closed = False

    @property
    def in_use(self) -> int:
        """How many calls are under way, late ones too."""
        return self._busy

    def run(self, work: Callable[[], _Result], then: Callable[[_Result], None]) -> bool:
        """Run `work`, and hand its result to `then`; return False where all slots are in use.

        The slot is free when `then` is called: whoever learns of the result may ask again. Neither should raise: it is
        logged, and nobody learns of a result then.
        """
        with self._lock:
            if self._busy >= self.size:
                return False
            self._busy += 1
            spare, self._idle = self._idle > 0, max(0, self._idle - 1)

        def job() -> bool:
            results = []
            try:
                results.append(work())
            except BaseException:
                _logger.exception("a call on %s failed", threading.current_thread().name)
            with self._lock:
                self._busy -= 1
                stays = not self._closed
                self._idle += stays
            try:
                for result in results:
                    then(result)
            except BaseException:
                _logger.exception("what came of a call on %s was not taken", threading.current_thread().name)
            return stays

        if not spare and not self._start():
            return False
        self._jobs.put(job)
        return True

    def close(self) -> None:
        """Let the idle threads end, and every other one after its call."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._jobs.put(None)

    def _start(self) -> bool:
        with self._lock:
            self._started += 1
            name = f"{self._name}-{self._started}"
        try:
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        except RuntimeError:
            # The process has no room for one more.
            with self._lock:
                self._busy -= 1
            return False
        return True

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None and job():
            pass
