"""What is to be done at which time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import TypeAlias

__all__ = ["Action", "Timetable"]

Action: TypeAlias = Callable[[], None]


class Timetable:
    """A heap of actions by their times. It knows no clock and no thread, and whoever uses it has a lock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        # Of two at one time the first comes first; actions themselves have no order.
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, time: float, action: Action) -> bool:
        """Plan an action; return whether it is the next of all."""
        entry = (time, next(self._numbers), action)
        heapq.heappush(self._heap, entry)
        return self._heap[0] is entry

    def take(self, now: float) -> Action | None:
        """Return an action whose time has come, the earliest first; None if there is none."""
        if not self._heap or self._heap[0][0] > now:
            return None
        return heapq.heappop(self._heap)[2]

    def next_time(self) -> float | None:
        """Return the time of the next action."""
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
