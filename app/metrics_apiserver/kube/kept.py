"""How many bytes of the cluster's objects are kept: one budget for all caches of the process.

Whoever may create an object decides how long its name and labels are: etcd takes a MiB of labels from anybody. So what
is kept is counted in bytes, before it is kept, and what does not fit is refused.
"""

from __future__ import annotations

import threading

__all__ = ["NoRoomError", "Share", "bytes_of"]

_MIB = 1024 * 1024
# Of all caches, and of one: what one resource takes leaves something for the others. The manifest's limit is 512 MiB,
# of which the server itself and a page that is being read take half.
_MOST = 256 * _MIB
_MOST_OF_ONE = 192 * _MIB
# What Python adds to the characters of a text, and of one that is not ASCII.
_TEXT_BYTES, _WIDE_TEXT_BYTES = 56, 80


class NoRoomError(OverflowError):
    """What should be kept does not fit."""


def bytes_of(text: str) -> int:
    """Return how many bytes a text takes in memory, or a few more."""
    # The widest character decides; this counts all of a text that has a wide one as the widest.
    return _TEXT_BYTES + len(text) if text.isascii() else _WIDE_TEXT_BYTES + 4 * len(text)


class _Total:
    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self.lock = threading.Lock()


class Share:
    """What one cache keeps, of the budget that it has in common with others: `beside` gives them theirs."""

    def __init__(self, *, most: int = _MOST, most_of_one: int = _MOST_OF_ONE) -> None:
        """Begin a budget."""
        self._total = _Total(most)
        self._most = most_of_one
        self.taken = 0

    @property
    def taken_by_all(self) -> int:
        """The bytes of all caches."""
        return self._total.taken

    def beside(self) -> Share:
        """Begin another share of the same budget."""
        share = Share(most_of_one=self._most)
        share._total = self._total
        return share

    def take(self, count: int) -> None:
        """Count so many bytes more, or fewer, below 0. Raises NoRoomError, and counts nothing then."""
        total = self._total
        with total.lock:
            if count > 0 and self.taken + count > self._most:
                raise NoRoomError(f"their names and labels take more than {self._most // _MIB} MiB of memory")
            if count > 0 and total.taken + count > total.most:
                raise NoRoomError(
                    f"with their names and labels, all objects that are kept take more than {total.most // _MIB} MiB"
                    " of memory"
                )
            self.taken += count
            total.taken += count
