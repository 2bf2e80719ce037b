"""What nobody is sent to any more, until no read can be under way in it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.registry import ConfiguredProvider

__all__ = ["Leaving", "Left"]

_logger = logging.getLogger("metrics_apiserver")


@dataclass(frozen=True, slots=True)
class Left:
    """What one change left over."""

    providers: Sequence[ConfiguredProvider]
    instances: Sequence[Instance]


class Leaving:
    """Hands what is left over to `end` after `seconds`, on one thread, which is there as long as there is something."""

    def __init__(self, end: Callable[[Left], None], seconds: float) -> None:
        self._end = end
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, Left]] = deque()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def add(self, left: Left) -> None:
        """End these later; waits for nothing."""
        with self._changed:
            self._waiting.append((time.monotonic() + self._seconds, left))
            if self._thread is not None or self._stopped:
                return
            thread = threading.Thread(target=self._run, name="leaving-providers", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No thread is left; whoever leaves next tries again.
                return
            self._thread = thread

    def stop(self) -> list[Left]:
        """End the thread, and return what still waits: it is the caller's to end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            waiting = [left for _, left in self._waiting]
            self._waiting.clear()
        return waiting

    def join(self, seconds: float) -> None:
        """Wait for what the thread is ending already."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _run(self) -> None:
        while (left := self._next()) is not None:
            try:
                self._end(left)
            except Exception:
                # What leaves after it has to be ended, too.
                _logger.exception("what was replaced could not be ended")
            del left  # what it holds is not kept until the next one comes

    def _next(self) -> Left | None:
        """Wait for the next that is due; None where there is nothing more."""
        with self._changed:
            while self._waiting:
                seconds = self._waiting[0][0] - time.monotonic()
                if seconds <= 0:
                    return self._waiting.popleft()[1]
                self._changed.wait(seconds)
            self._thread = None
            return None
