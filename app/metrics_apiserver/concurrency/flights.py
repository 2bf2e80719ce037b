"""Equal questions that are under way share one answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Flights"]

_Key = TypeVar("_Key", bound=Hashable)
_Flight = TypeVar("_Flight")


class Flights(Generic[_Key, _Flight]):
    """The questions that can be joined, by what they ask: who comes first asks, whoever comes later waits with them.

    What a flight is belongs to its users: something with an answer that is waited for, such as a Future.
    """

    def __init__(self) -> None:
        self._flights: dict[_Key, _Flight] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._flights)

    def join(
        self, key: _Key, begin: Callable[[], _Flight], *, open_: Callable[[_Flight], bool] = lambda _: True
    ) -> tuple[_Flight, bool]:
        """Return the flight to wait for, and whether it is a new one, whose question the caller has to put.

        One that is not `open_` is left alone, and a new one takes its place: whoever comes now should not wait for what
        may hang. Raises what `begin` raises, and nothing has begun then.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and open_(flight):
                return flight, False
            flight = self._flights[key] = begin()
            return flight, True

    def end(self, key: _Key, flight: _Flight) -> bool:
        """Let nobody join it any more; False where another has taken its place already."""
        with self._lock:
            if self._flights.get(key) is not flight:
                return False
            del self._flights[key]
            return True
