"""How many of the server's threads may wait, and for what: one table, whose rows add up to all of them.

Whoever waits for somebody else on a thread of the server takes a place in a room of this table first, and is refused at
once where there is none. So some threads are always left for what waits for nobody: discovery, health, OpenAPI,
`/debug`, and reads of values that are in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from typing import Final

__all__ = [
    "BODIES",
    "CLUSTER",
    "LARGE_ANSWERS",
    "NOBODY",
    "PROVIDERS",
    "REVIEWS",
    "REVIEWS_OF_ONE_USER",
    "REVIEWS_OF_STRANGERS",
    "REVIEWS_OF_VERIFIED",
    "SCRAPES",
    "THREADS",
    "Room",
    "SharedRoom",
    "provider_room",
    "share_of_threads",
]

THREADS: Final = 104
# Of users who have proved who they are, and of everybody else: the anonymous, and tokens that nobody knows yet.
REVIEWS_OF_VERIFIED: Final = 15
REVIEWS_OF_STRANGERS: Final = 5
# Of those of the verified. The others keep six: the autoscaler has five workers unless it is told otherwise.
REVIEWS_OF_ONE_USER: Final = 9
REVIEWS: Final = REVIEWS_OF_VERIFIED + REVIEWS_OF_STRANGERS
# All instances together, also while those of an old configuration still finish.
PROVIDERS: Final = 48
# What providers count themselves, which is read by their own code when `/metrics` is.
SCRAPES: Final = 2
# A first list of objects, or a resource that is looked up.
CLUSTER: Final = 6
# Bodies that peers still send, also those that nobody reads.
BODIES: Final = 16
# Answers that are so long that they are written one after the other.
LARGE_ANSWERS: Final = 4
# What is left for those who wait for nobody.
NOBODY: Final = THREADS - REVIEWS - PROVIDERS - SCRAPES - CLUSTER - BODIES - LARGE_ANSWERS
# Of the threads of PROVIDERS, for one instance.
_MOST_OF_ONE, _LEAST_OF_ONE = 24, 4


class Room:
    """So many places, which are taken at once or not at all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Take a place if there is one."""
        with self._lock:
            if self.taken >= self.most:
                return False
            self.taken += 1
            return True

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self.taken -= 1


class SharedRoom:
    """Places that several holders share, so that none of them can take those of all the others."""

    def __init__(self, most: int, *, each: int, kept: int = 0) -> None:
        """Share `most` places: no holder has more than `each`, and the last `kept` are for those that have none."""
        self.most = most
        self._each = each
        self._kept = kept
        self._members: frozenset[Hashable] = frozenset()
        self._taken = 0
        self._held: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def divide(self, members: Iterable[Hashable], *, each: int) -> None:
        """Keep a place for each of these that has none, as far as half of the places go; what is taken stays so."""
        with self._lock:
            self._members, self._each = frozenset(members), each

    def enter(self, holder: Hashable) -> bool:
        """Take a place for a holder if it may have one."""
        with self._lock:
            held = self._held.get(holder, 0)
            kept = self._kept_for_others() if held else 0
            if held >= self._each or self.most - self._taken <= kept:
                return False
            self._held[holder] = held + 1
            self._taken += 1
            return True

    def leave(self, holder: Hashable) -> None:
        """Give one of the holder's places back."""
        with self._lock:
            self._taken -= 1
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]

    def held(self, holder: Hashable) -> int:
        """Return how many places a holder has."""
        return self._held.get(holder, 0)

    @property
    def each(self) -> int:
        """How many places one holder may have."""
        return self._each

    @property
    def taken(self) -> int:
        """How many places are taken by all holders together."""
        return self._taken

    def _kept_for_others(self) -> int:
        return max(self._kept, min(len(self._members - self._held.keys()), self.most // 2))


def share_of_threads(instances: int) -> int:
    """Return how many of the server's threads may wait for one of so many instances.

    That is more than there is for each where the instances are many: the room bounds their sum.
    """
    return max(_LEAST_OF_ONE, min(_MOST_OF_ONE, PROVIDERS // max(1, instances)))


def provider_room() -> SharedRoom:
    """Make the room in which the server's threads wait for providers; for one instance until it is divided."""
    return SharedRoom(PROVIDERS, each=share_of_threads(1))
