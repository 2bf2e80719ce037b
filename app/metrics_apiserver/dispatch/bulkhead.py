"""The threads that one provider's calls run on: so many at once, and none of the server's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from metrics_apiserver.budget import PROVIDERS, SharedRoom

__all__ = ["Bulkhead", "provider_room", "share_of_threads"]

# Of the server's threads, for one instance.
_MOST_WAITING, _LEAST_WAITING = 24, 4

_Result = TypeVar("_Result")


def share_of_threads(instances: int) -> int:
    """Return how many of the server's threads may wait for one of so many instances.

    That is more than there is for each where the instances are many: `budget.SharedRoom` bounds their sum.
    """
    return max(_LEAST_WAITING, min(_MOST_WAITING, PROVIDERS // max(1, instances)))


def provider_room() -> SharedRoom:
    """Make the room in which the server's threads wait for providers; for one instance until it is divided."""
    return SharedRoom(PROVIDERS, each=share_of_threads(1))


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
        """Run `work`, which raises nothing, and hand its result to `then`; refuse when all slots are in use.

        The slot is free when `then` is called: whoever learns of the result may ask again.
        """
        with self._lock:
            if self._busy >= self.size:
                return False
            self._busy += 1
            spare, self._idle = self._idle > 0, max(0, self._idle - 1)

        def job() -> bool:
            result = work()
            with self._lock:
                self._busy -= 1
                stays = not self._closed
                self._idle += stays
            then(result)
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
            name = f"provider-{self._name}-{self._started}"
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
