"""Durations as Go writes them: `30s`, `10m`, `1h30m`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

__all__ = ["Duration", "DurationField", "in_words"]

# Go's `time.ParseDuration` without signs and without what is shorter than a millisecond.
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s)")
_TEXT = re.compile(rf"(?:{_PART.pattern})+")
# A year and more is a slip of the finger, and no timer of Python's takes a number without bounds.
_MOST = 8760 * 3600.0


class Duration(float):
    """Seconds that are written as people write them: `str(Duration(5400)) == "1h30m"`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `1h30m`. Raises ValueError."""
        if not _TEXT.fullmatch(text):
            raise ValueError(text)
        return cls(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))

    def __str__(self) -> str:
        milliseconds = round(self * 1000)
        if 0 < milliseconds < 1000:
            return f"{milliseconds}ms"
        hours, milliseconds = divmod(milliseconds, 3_600_000)
        minutes, milliseconds = divmod(milliseconds, 60_000)
        parts = ((hours, "h"), (minutes, "m"), (milliseconds / 1000, "s"))
        return "".join(f"{count:g}{unit}" for count, unit in parts if count) or "0s"


_WORDS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def in_words(seconds: float) -> str:
    """Return how long that is as people say it, in the largest unit of which there are two: 20 days, 90 minutes."""
    size, word = next(((size, word) for size, word in _WORDS if seconds >= 2 * size), _WORDS[-1])
    count = int(seconds // size)
    return f"{count} {word}{'' if count == 1 else 's'}"


class DurationField(fields.Field[Duration]):
    """Reads a duration of at least `least` seconds."""

    def __init__(self, *, least: float = 0.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._least = Duration(least)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> Duration:
        try:
            duration = Duration.parse(value)
        except (TypeError, ValueError) as error:
            raise ValidationError("Not a duration: write it as 30s, 10m or 1h30m.") from error
        if not self._least <= duration <= _MOST:
            raise ValidationError(f"Must be at least {self._least} and at most {Duration(_MOST)}.")
        return duration
