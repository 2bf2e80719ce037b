"""The pool of real threads: how many there are, who leaves, and that nothing waits for what hangs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from metrics_apiserver_providers.functions.pool import Pool
from tests.controlplane.waiting import wait_until

LOGGER = logging.getLogger("metrics_apiserver.tests")
SECONDS = 10.0


class Hang:
    """A task that hangs until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.let_go = threading.Event()
        self.worker = 0

    def __call__(self) -> None:
        self.worker = threading.get_ident()
        self.started.set()
        self.let_go.wait(60)


@pytest.fixture(name="pool")
def _pool() -> Iterator[Pool]:
    pool = Pool("test-pool", LOGGER, threads=2, most_strays=3)
    yield pool
    pool.stop(SECONDS)


def threads() -> int:
    return sum(thread.name == "test-pool" for thread in threading.enumerate())


def test_threads_start_when_they_are_needed_and_no_more_than_allowed(pool: Pool) -> None:
    assert threads() == 0
    hangs = [Hang() for _ in range(4)]
    for number, hang in enumerate(hangs[:2], start=1):
        pool.submit(hang)
        assert hang.started.wait(SECONDS)
        assert threads() == number
    for hang in hangs[2:]:
        pool.submit(hang)
    assert not hangs[2].started.is_set()
    assert threads() == 2
    for hang in hangs:
        hang.let_go.set()
    assert hangs[3].started.wait(SECONDS)


def test_thread_that_is_free_is_used_again(pool: Pool) -> None:
    """One after the other needs one thread."""
    for _ in range(20):
        done = threading.Event()
        pool.submit(done.set)
        assert done.wait(SECONDS)
    assert threads() <= 2


def test_another_takes_the_place_of_one_that_is_left_behind(pool: Pool) -> None:
    """Until as many have left as are allowed; one that returns after all ends, and makes room."""
    hangs = [Hang() for _ in range(5)]
    for hang in hangs:
        pool.submit(hang)
    for hang in hangs[:3]:
        assert hang.started.wait(SECONDS)
        assert pool.leave_behind(hang.worker)
    assert all(hang.started.wait(SECONDS) for hang in hangs)
    assert (pool.strays, threads()) == (3, 5)
    assert not pool.leave_behind(hangs[3].worker)
    hangs[0].let_go.set()
    wait_until(lambda: pool.strays == 2, SECONDS, lambda: f"{pool.strays} strays")
    wait_until(lambda: threads() == 4, SECONDS, lambda: f"{threads()} threads")
    assert pool.leave_behind(hangs[3].worker)
    for hang in hangs:
        hang.let_go.set()
    wait_until(lambda: pool.strays == 0, SECONDS, lambda: f"{pool.strays} strays")
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(SECONDS)


def test_nobody_is_left_behind_twice(pool: Pool) -> None:
    hang = Hang()
    pool.submit(hang)
    assert hang.started.wait(SECONDS)
    assert pool.leave_behind(hang.worker)
    assert not pool.leave_behind(hang.worker)
    assert not pool.leave_behind(0)
    hang.let_go.set()


def test_stop_waits_for_what_ends_and_not_for_what_hangs() -> None:
    """The threads are daemons: they keep no process."""
    pool = Pool("test-pool", LOGGER, threads=2)
    hang, done = Hang(), threading.Event()
    pool.submit(hang)
    pool.submit(done.set)
    assert hang.started.wait(SECONDS)
    pool.stop(0.01)
    assert done.wait(SECONDS)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "test-pool")
    hang.let_go.set()
    wait_until(lambda: threads() == 0, SECONDS, lambda: f"{threads()} threads")
