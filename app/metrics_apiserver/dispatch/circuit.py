"""One circuit: whether something that failed is tried again.

closed ──(it fails)──> open ──(its time is over, and a call is wanted)──> half-open: one trial
   ^                     ^                                                     │
   └──(anything works)───┼─────────────────────────────────────────────────────┤
                         └───────────────(the trial fails)─────────────────────┘
"""

from __future__ import annotations

from datetime import datetime

from metrics_apiserver.logs import hide_secrets
from metrics_apiserver.model.clock import Clock

__all__ = ["CLOSED", "HALF_OPEN", "OPEN", "Circuit"]

CLOSED, HALF_OPEN, OPEN = "closed", "half-open", "open"
# Characters of what was said last.
_SENTENCE_LENGTH = 256


class Circuit:
    """Of one metric, or of all of a provider; whoever has it holds a lock."""

    __slots__ = ("_clock", "_opened", "_since", "failures", "last_word", "state", "trial")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.state = CLOSED
        self.failures = 0
        self.trial = False
        self.last_word = ""
        self._opened = 0.0
        self._since: datetime | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing is refused."""
        return self.state == CLOSED

    @property
    def since(self) -> str:
        """Since when it is open, as sentences say it."""
        return f" since {self._since:%Y-%m-%dT%H:%M:%SZ}" if self._since else ""

    def refuses(self, reset: float) -> bool:
        """Return whether no call may be made: for `reset` seconds, and while one tries."""
        return not self.closed and (self.trial or self._clock.monotonic() < self._opened + reset)

    def begin_trial(self) -> None:
        """Let one call try."""
        self.trial, self.state = True, HALF_OPEN

    def fail(self, sentence: str) -> None:
        """Count one failure more."""
        self.failures += 1
        self.last_word = hide_secrets(sentence)[:_SENTENCE_LENGTH]

    def open(self) -> bool:
        """Refuse calls from now on, and return whether they were let through until now."""
        was_closed = self.closed
        self._opened = self._clock.monotonic()
        self._since = self._since or self._clock.now()
        self.state = OPEN
        return was_closed

    def close(self) -> bool:
        """Refuse no calls any more, and return whether they were refused until now."""
        was_closed = self.closed
        self.failures, self.state, self._since = 0, CLOSED, None
        return not was_closed
