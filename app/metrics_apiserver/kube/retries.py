"""How often something is done again: after failures in a row, and when all goes well."""

from __future__ import annotations

import logging
import threading
import time

from metrics_apiserver.concurrency import Backoff

__all__ = ["Pace", "Retries"]


class Pace:
    """The least time between the beginnings of two rounds, however well they go."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic()

    def wait(self, stopping: threading.Event) -> bool:
        """Wait for the next round's time; False where it stops first."""
        return not stopping.wait(max(0.0, self._next - time.monotonic()))

    def begun(self) -> None:
        """Take note that a round has begun."""
        self._next = time.monotonic() + self._seconds


class Retries:
    """Counts what fails in a row; the pause doubles each time, up to a limit, and the log has each problem once."""

    def __init__(self, what: str, *, first: float, most: float, logger: logging.Logger) -> None:
        self.count = 0
        self.problem = ""
        self._what = what
        self._backoff = Backoff(first, most)
        self._logger = logger

    def failed(self, problem: str) -> float:
        """Count one more, and return the seconds to pause."""
        self.count += 1
        if problem != self.problem:
            self._logger.warning("%s: %s", self._what, problem)
        self.problem = problem
        return self._backoff.seconds(self.count)

    def answered(self) -> None:
        """Take note that it goes again; the count stays until that has proved to last."""
        if self.problem:
            self._logger.info("%s: the cluster answers again", self._what)
        self.problem = ""

    def lasted(self) -> None:
        """Begin to count anew."""
        self.count = 0
