"""The places of the server's threads that wait for the cluster's reviews."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from metrics_apiserver.concurrency import budget
from metrics_apiserver.concurrency.budget import Room, SharedRoom

__all__ = ["Waiting"]


class Waiting:
    """So many threads wait, whatever they wait for; all caches of reviews share these places.

    Most are for users who have proved who they are, no user has more than a part of these, and strangers have the rest.
    A place that nobody has may be lent to a guest, who waits for a moment and goes as soon as it is needed.
    """

    def __init__(
        self,
        *,
        verified: int = budget.REVIEWS_OF_VERIFIED,
        each: int = budget.REVIEWS_OF_ONE_USER,
        strangers: int = budget.REVIEWS_OF_STRANGERS,
    ) -> None:
        # One more user may always come.
        self._verified = SharedRoom(verified, each=each, kept=1)
        self._strangers = Room(strangers)
        self._guests: dict[Future[Any], str | None] = {}
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many threads wait."""
        return self._verified.taken + self._strangers.taken + len(self._guests)

    def enter(self, asker: str | None) -> bool:
        """Take a place for a verified user, by name, or for a stranger (None), at once or not at all."""
        with self._lock:
            entered = self._strangers.enter() if asker is None else self._verified.enter(asker)
            gone = self._dismiss() if entered and self._free() < 0 else None
        if gone is not None:
            gone.cancel()
        return entered

    def leave(self, asker: str | None) -> None:
        """Give the place back."""
        with self._lock:
            if asker is None:
                self._strangers.leave()
            else:
                self._verified.leave(asker)

    def visit(self, guest: Future[Any], asker: str | None) -> bool:
        """Lend a place that nobody has to whoever waits for this future, which is cancelled if the place is needed."""
        with self._lock:
            if self._free() <= 0:
                return False
            self._guests[guest] = asker
            return True

    def depart(self, guest: Future[Any]) -> None:
        """Give a lent place back; it may have been taken back already."""
        with self._lock:
            self._guests.pop(guest, None)

    def _free(self) -> int:
        return self._verified.most + self._strangers.most - self.taken

    def _dismiss(self) -> Future[Any]:
        """Take the place of the guest who has waited longest, a stranger's if there is one."""
        guest = next((guest for guest, asker in self._guests.items() if asker is None), None)
        guest = guest or next(iter(self._guests))
        del self._guests[guest]
        return guest
