"""Whether a provider is asked at all: not for a while after it has failed several times in a row."""

from __future__ import annotations

import contextlib
import logging
import threading
from datetime import datetime
from enum import Enum
from typing import NoReturn

import pybreaker

from metrics_apiserver.logs import hide_secrets
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.settings import BreakerSettings

__all__ = ["Admission", "Breaker"]

_LONGEST_WORD = 256


class Admission(Enum):
    """Whether a call may be made."""

    REFUSED = "refused"
    CALL = "call"
    # The one call that shows whether the provider is back.
    TRIAL = "trial"


class Breaker:
    """pybreaker's states, told what came of each call.

    Not its own `call`: that holds a lock as long as the call takes, and tells the time by the wall clock.
    """

    def __init__(self, provider: str, settings: BreakerSettings, *, clock: Clock, logger: logging.Logger) -> None:
        self._provider = provider
        self._reset = settings.reset
        self._clock = clock
        self._logger = logger
        self._states = pybreaker.CircuitBreaker(fail_max=settings.failures, throw_new_error_on_trip=False)
        self._lock = threading.Lock()
        self._trial = False
        self._opened = 0.0
        self._since: datetime | None = None
        self._last_word = ""

    @property
    def state(self) -> str:
        """`closed`, `half-open` or `open`."""
        return self._states.current_state

    @property
    def sentence(self) -> str:
        """Since when the provider is down, and what it said last."""
        since = f" since {self._since:%Y-%m-%dT%H:%M:%SZ}" if self._since else ""
        return f"provider {self._provider} is down{since}: {self._last_word}"

    def admit(self) -> Admission:
        """Say whether a call may be made. What is admitted is to be accounted for, or given back."""
        with self._lock:
            if self.state == pybreaker.STATE_CLOSED:
                return Admission.CALL
            if self._trial or self._clock.monotonic() < self._opened + self._reset:
                return Admission.REFUSED
            self._trial = True
            self._states.half_open()
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
            elif self.state != pybreaker.STATE_CLOSED:
                # It began before the provider was known to be down, and says nothing new.
                return
            before = self.state
            if failure:
                self._last_word = hide_secrets(failure)[:_LONGEST_WORD]
            with contextlib.suppress(_FailureError):
                self._states.call(_fail if failure else _succeed)
            self._follow(before)

    def _follow(self, before: str) -> None:
        if self.state == pybreaker.STATE_OPEN:
            self._opened = self._clock.monotonic()
            self._since = self._since or self._clock.now()
            if before == pybreaker.STATE_CLOSED:
                self._logger.warning(
                    "provider %s is down, and not asked for a while: %s", self._provider, self._last_word
                )
        elif before != pybreaker.STATE_CLOSED:
            self._since = None
            self._logger.info("provider %s is back", self._provider)


class _FailureError(Exception):
    """Tells pybreaker of a failure."""


def _fail() -> NoReturn:
    raise _FailureError


def _succeed() -> None:
    pass
