"""What is said once in a while, however often it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

from cachetools import TTLCache

__all__ = ["Seldom"]


class Seldom:
    """Allows each of a number of things to be said once in so many seconds; called from any thread."""

    def __init__(self, seconds: float = 60.0, *, most: int = 1000, timer: Callable[[], float] = time.monotonic) -> None:
        """Remember `most` things at a time; where there are more, the oldest may be said again."""
        self._said: TTLCache[Hashable, bool] = TTLCache(most, seconds, timer=timer)
        self._lock = threading.Lock()

    def allows(self, thing: Hashable) -> bool:
        """Return whether it may be said now; it counts as said from then on."""
        with self._lock:
            if thing in self._said:
                return False
            self._said[thing] = True
        return True
