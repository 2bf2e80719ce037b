"""Equal questions under way share one answer."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from metrics_apiserver.concurrency import Flights


def test_who_comes_later_joins_until_it_has_ended() -> None:
    flights = Flights[str, Future[int]]()
    first, new = flights.join("a", Future)
    assert new
    assert flights.join("a", Future) == (first, False)
    assert flights.join("b", Future)[1]
    assert len(flights) == 2
    assert flights.end("a", first)
    assert flights.join("a", Future)[1]


def test_one_that_is_not_open_any_more_is_left_alone() -> None:
    """And its end does not end the one in its place."""
    flights = Flights[str, Future[int]]()
    old, _ = flights.join("a", Future)
    second, new = flights.join("a", Future, open_=lambda flight: flight is not old)
    assert new
    assert not flights.end("a", old)
    assert flights.join("a", Future) == (second, False)


def test_one_that_cannot_begin_leaves_nothing() -> None:
    flights = Flights[str, Future[int]]()

    def fail() -> Future[int]:
        raise RuntimeError("no thread")

    with pytest.raises(RuntimeError, match="no thread"):
        flights.join("a", fail)
    assert len(flights) == 0


def test_of_many_at_once_one_begins() -> None:
    flights, gate = Flights[str, Future[int]](), threading.Barrier(16)

    def join() -> bool:
        gate.wait(10)
        return flights.join("a", Future)[1]

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: join(), range(16))) == 1
