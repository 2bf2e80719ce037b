"""How many threads may wait for the cluster's first lists and for names that are looked up."""

from __future__ import annotations

import threading

__all__ = ["MOST_WAITING_FOR_CLUSTER", "WaitingRoom"]

# Of the server's 64 threads; at most 24 wait for reviews, and 32 for providers.
MOST_WAITING_FOR_CLUSTER = 6


class WaitingRoom:
    """So many places, which are taken at once or not at all."""

    def __init__(self, most: int = MOST_WAITING_FOR_CLUSTER) -> None:
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
