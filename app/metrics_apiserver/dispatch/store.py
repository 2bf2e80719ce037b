"""Answers that are kept for a while, no more of them than there is room for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import NamedTuple

from cachetools import TLRUCache

from metrics_apiserver.dispatch.outcomes import Answer, Missing

__all__ = ["AnswerStore"]

# In values; each answer weighs ten more, so that there are ten thousand at most.
_ROOM = 100_000
_EACH = 10
# So many characters of a key weigh as much as one value.
_CHARACTERS = 100


class _Kept(NamedTuple):
    outcome: Answer | Missing
    seconds: float
    cost: int


class AnswerStore:
    """Keeps answers, and that there is nothing, each as long as it is told; the longest unused ones make room."""

    def __init__(self, monotonic: Callable[[], float], *, room: int = _ROOM) -> None:
        self._kept: TLRUCache[Hashable, _Kept] = TLRUCache(
            room, lambda _, kept, now: now + kept.seconds, timer=monotonic, getsizeof=lambda kept: kept.cost
        )
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Answer | Missing | None:
        """Return what is kept under this key."""
        with self._lock:
            kept = self._kept.get(key)
        return None if kept is None else kept.outcome

    def put(self, key: Hashable, outcome: Answer | Missing, seconds: float, *, characters: int = 0) -> None:
        """Keep an outcome for so long; what is larger than all the room is not kept."""
        values = len(outcome.values) if isinstance(outcome, Answer) else 0
        kept = _Kept(outcome, seconds, _EACH + values + characters // _CHARACTERS)
        with self._lock:
            if kept.cost <= self._kept.maxsize:
                self._kept[key] = kept
