"""The clock, handed to whatever needs the time so that a test can hand in its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["SKEW", "Clock", "SystemClock", "age_seconds"]


class Clock(Protocol):
    """Tells the time of day, and a time that never jumps."""

    def now(self) -> datetime:
        """The time of day in UTC, with its time zone."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; deadlines are in this time."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()


# Clocks of machines differ by this much: a sample from so soon was taken now.
_SKEW_SECONDS = 10.0
SKEW = timedelta(seconds=_SKEW_SECONDS)


def age_seconds(sampled: datetime, now: datetime) -> float | None:
    """Return how old a sample is; None for one from a time still to come, of which nobody knows when it was taken."""
    age = (now - sampled).total_seconds()
    if age >= 0.0:
        return age
    return None if age < -_SKEW_SECONDS else 0.0
