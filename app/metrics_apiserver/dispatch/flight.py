"""One call of a provider, for all who read the same."""

from __future__ import annotations

import threading

from metrics_apiserver.dispatch.outcomes import Outcome

__all__ = ["Call"]


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
