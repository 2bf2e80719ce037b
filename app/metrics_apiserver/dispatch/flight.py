"""Equal reads that are under way share one call."""

from __future__ import annotations

import threading
from collections.abc import Hashable

from metrics_apiserver.dispatch.outcomes import Outcome

__all__ = ["Call", "Flights"]


class Call:
    """One call of a provider, for everybody who waits for it."""

    __slots__ = ("_accounted", "_done", "_outcome", "deadline", "trial")

    def __init__(self, deadline: float) -> None:
        """Begin a call; `deadline` is that of the read that starts it."""
        self.deadline = deadline
        # Whether the breaker let it through to see if the provider is back.
        self.trial = False
        self._accounted = threading.Lock()
        self._done = threading.Event()
        self._outcome: Outcome | None = None

    def wait(self, seconds: float) -> Outcome | None:
        """Wait for its outcome; None where it is not there in time."""
        # Not by the event's answer: it may come between the end of the wait and this line.
        self._done.wait(max(0.0, seconds))
        return self._outcome

    def claim(self) -> bool:
        """Return True to the first who asks: a call that came too late is accounted for once, as too late."""
        return self._accounted.acquire(blocking=False)

    def set(self, outcome: Outcome) -> None:
        """Let everybody go who waits."""
        self._outcome = outcome
        self._done.set()


class Flights:
    """The calls that can be joined, by what they ask."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, Call] = {}
        self._lock = threading.Lock()

    def join(self, key: Hashable, *, now: float, deadline: float) -> tuple[Call, bool]:
        """Return the call to wait for, and whether it is a new one, which the caller has to start.

        A call past its own deadline is left alone: whoever comes now should not wait for what may hang.
        """
        with self._lock:
            call = self._calls.get(key)
            if call is not None and call.deadline > now:
                return call, False
            call = self._calls[key] = Call(deadline)
            return call, True

    def end(self, key: Hashable, call: Call, outcome: Outcome) -> None:
        """Hand the outcome to everybody who waits; nobody joins any more."""
        self.forget(key, call)
        call.set(outcome)

    def forget(self, key: Hashable, call: Call) -> None:
        """Let nobody join any more."""
        with self._lock:
            if self._calls.get(key) is call:
                del self._calls[key]
