"""Whether a provider is asked at all: not for a while after it has failed several times in a row."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from enum import Enum

from metrics_apiserver.logs import hide_secrets
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.settings import BreakerSettings

__all__ = ["Admission", "Breaker"]

CLOSED, HALF_OPEN, OPEN = "closed", "half-open", "open"
# Characters of what a provider said last.
_SENTENCE_LENGTH = 256


class Admission(Enum):
    """What becomes of a call that is wanted."""

    REFUSED = "refused"
    CALL = "call"
    # The one call that shows whether the provider is back.
    TRIAL = "trial"


class Breaker:
    """Counts the failures in a row of one provider.

    closed ──(so many failures in a row)──> open ──(its time is over, and a call is wanted)──> half-open: one trial
       ^                                     ^                                                    │
       └──────────(the trial answers)────────┼────────────────────────────────────────────────────┤
                                             └──────────(the trial fails)─────────────────────────┘

    Our own: what comes of a call is known on another thread, long after it was let through, and by the test's clock.
    """

    def __init__(self, provider: str, settings: BreakerSettings, *, clock: Clock, logger: logging.Logger) -> None:
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self._logger = logger
        self._lock = threading.Lock()
        self._state = CLOSED
        self._failures = 0
        self._trial = False
        self._opened = 0.0
        self._since: datetime | None = None
        self._last_word = ""

    @property
    def state(self) -> str:
        """`closed`, `half-open` or `open`."""
        return self._state

    @property
    def sentence(self) -> str:
        """Since when the provider is down, and what it said last."""
        since = f" since {self._since:%Y-%m-%dT%H:%M:%SZ}" if self._since else ""
        return f"provider {self._provider} is down{since}: {self._last_word}"

    def admit(self) -> Admission:
        """Return whether a call may be made. What is admitted is to be accounted for, or given back."""
        with self._lock:
            if self._state == CLOSED:
                return Admission.CALL
            if self._trial or self._clock.monotonic() < self._opened + self._settings.reset:
                return Admission.REFUSED
            self._trial = True
            self._state = HALF_OPEN
            return Admission.TRIAL

    def give_back(self, *, trial: bool) -> None:
        """Take back an admission of which nothing came: the next call is the trial."""
        if trial:
            with self._lock:
                self._trial = False

    def account(self, failure: str, *, trial: bool) -> None:
        """Take note of a call that ended: `failure` is its sentence, "" for a provider that works."""
        with self._lock:
            if trial:
                self._trial = False
            elif self._state != CLOSED:
                # It began before the provider was known to be down, and says nothing new.
                return
            if failure:
                self._fail(failure)
            else:
                self._succeed()

    def _fail(self, failure: str) -> None:
        self._last_word = hide_secrets(failure)[:_SENTENCE_LENGTH]
        self._failures += 1
        if self._state == CLOSED and self._failures < self._settings.failures:
            return
        self._opened = self._clock.monotonic()
        self._since = self._since or self._clock.now()
        if self._state == CLOSED:
            self._logger.warning("provider %s is down, and not asked for a while: %s", self._provider, self._last_word)
        self._state = OPEN

    def _succeed(self) -> None:
        self._failures = 0
        if self._state != CLOSED:
            self._state = CLOSED
            self._since = None
            self._logger.info("provider %s is back", self._provider)
