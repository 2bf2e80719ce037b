"""How long to wait after failures in a row.

Libraries for retries repeat a call where it stands. What is repeated here is a turn of a thread that has to be woken
and stopped, or an entry of a timetable, so that nothing of such a library would be used but this one formula.
"""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Pauses that double with each failure, from `first` to `most` seconds; not the same for everybody.

    Of a pause a half at least is kept and the rest is chance: all who lost the same server at the same moment do not
    come back together.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most

    def seconds(self, failures: int) -> float:
        """Return the pause after so many failures in a row, one at least."""
        # The exponent is bounded: a float is not.
        pause = min(self._most, self._first * 2.0 ** min(failures - 1, 30))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
