"""When a function is called: at a period, at events, or (None) when somebody reads the metric."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

__all__ = ["EventQueue", "Every", "Trigger", "check_trigger", "every"]

_LEAST_SECONDS = 0.1
# A year and more is a slip of the finger.
_MOST_SECONDS = 8760 * 3600.0


@dataclass(frozen=True, slots=True)
class Every:
    """A period in seconds, made by `every`."""

    seconds: float


@runtime_checkable
class EventQueue(Protocol):
    """A queue of events: that of `queue` or of `multiprocessing`. Nobody looks at what an event is."""

    def get_nowait(self) -> object:
        """Take the next event. Raises `queue.Empty` where there is none."""


Trigger: TypeAlias = Every | EventQueue | Iterable[object] | None


def every(*, seconds: float = 0.0, minutes: float = 0.0, hours: float = 0.0) -> Every:
    """Poll at this period; the parts are added up. A poll has half of it as its deadline.

    Raises ValueError for less than a tenth of a second, or a year and more.
    """
    period = seconds + 60.0 * minutes + 3600.0 * hours
    if not math.isfinite(period) or not _LEAST_SECONDS <= period < _MOST_SECONDS:
        raise ValueError(f"a period of {period:g} s: it must be at least {_LEAST_SECONDS:g} s and less than a year")
    return Every(float(period))


def check_trigger(trigger: object) -> None:
    """Raise TypeError for what is not a trigger, with a sentence."""
    forms = "every(seconds=…), an iterable or a queue of events, or None for 'when asked'"
    if isinstance(trigger, (int, float)):
        raise TypeError(f"the trigger is the number {trigger}: write every(seconds={trigger})")
    if isinstance(trigger, asyncio.Queue):
        raise TypeError("the trigger is an asyncio.Queue, which belongs to one thread: use a queue.Queue")
    if isinstance(trigger, (str, bytes)) or not isinstance(trigger, (Every, EventQueue, Iterable, type(None))):
        raise TypeError(f"the trigger is {trigger!r}: it must be {forms}")
