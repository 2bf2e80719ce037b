"""Reads something of the cluster again and again, and once more for whoever cannot do with what was read."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from metrics_apiserver.concurrency import Background, Room
from metrics_apiserver.concurrency.budget import CLUSTER
from metrics_apiserver.errors import ServiceUnavailableError

__all__ = ["Refresher"]

_STOP_SECONDS = 2.0
_logger = logging.getLogger("metrics_apiserver")
# However long a call took, the next one for a new name is not put off for longer.
_LONGEST_SPACING = 30.0


class Refresher:
    """One thread that calls `read` every `interval` seconds, and every `retry` seconds after it gave False.

    `refresh` has it called at once, but never within `spacing` seconds after the last time, or as long as that took if
    it was slow: whatever is asked for and does not exist must not become a request of ours. All who ask meanwhile share
    one call, and only so many threads (`room`) wait for it.
    """

    def __init__(
        self,
        read: Callable[[], bool],
        *,
        interval: float,
        retry: float,
        spacing: float = 2.0,
        patience: float = 2.0,
        room: Room | None = None,
        logger: logging.Logger = _logger,
    ) -> None:
        self._read = read
        self._interval = interval
        self._retry = retry
        self._spacing = spacing
        self._patience = patience
        self._room = room or Room(CLUSTER)
        self._took = 0.0
        self._changed = threading.Condition()
        self._wanted = False
        self._begun: float | None = None
        self._ended = 0.0
        self._reads = 0
        self._background = Background(
            "cluster-discovery", self._turn, logger=logger, failure="discovery failed", mistaken=lambda _error: retry
        )

    def start(self) -> None:
        """Start reading, in the background; once."""
        self._background.start()

    def stop(self) -> None:
        """Stop reading; a request under way is not waited for longer than a moment."""
        self._background.stop()
        with self._changed:
            self._changed.notify_all()
        self._background.join(_STOP_SECONDS)

    def refresh(self) -> bool:
        """Wait for one more call, up to `patience` seconds after its beginning; False when there is none.

        Raises ServiceUnavailableError when too many wait already.
        """
        with self._changed:
            if not self._ask():
                return False
            until = time.monotonic() if self._begun is None else self._begun
            left = until + self._patience - time.monotonic()
            if left <= 0:
                return False
            target = self._reads + 1
            if not self._room.enter():
                raise ServiceUnavailableError(
                    "the cluster's resources are being read, and too many requests wait for that: try again"
                )
            try:
                return self._changed.wait_for(lambda: self._reads >= target or not self._running, left)
            finally:
                self._room.leave()

    def ask(self) -> None:
        """Have it called soon, without waiting."""
        with self._changed:
            self._ask()

    def _ask(self) -> bool:
        """Have a call begin, if there is none to share; False when it is too early for one."""
        if not self._running:
            return False
        if self._begun is None and not self._wanted:
            slow = self._took if self._took > self._patience else 0.0
            if time.monotonic() - self._ended < max(self._spacing, min(slow, _LONGEST_SPACING)):
                return False
            self._wanted = True
            self._background.wake()
        return True

    @property
    def _running(self) -> bool:
        return self._background.alive and not self._background.stopping.is_set()

    def _turn(self) -> float:
        with self._changed:
            begun = self._begun = time.monotonic()
            self._wanted = False
        try:
            well = self._read()
        finally:
            with self._changed:
                self._ended = time.monotonic()
                self._took, self._begun = self._ended - begun, None
                self._reads += 1
                self._changed.notify_all()
        return self._interval if well else self._retry
