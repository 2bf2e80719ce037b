"""How much is asked of the cluster."""

from __future__ import annotations

import threading

import pytest

from metrics_apiserver.kube.limits import TokenBucket


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_goes_through_at_once_and_then_so_many_a_second() -> None:
    clock = Seconds()
    bucket = TokenBucket(2, 3, monotonic=clock)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    clock.now += 1
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]


def test_what_is_not_used_is_not_saved_up_beyond_the_burst() -> None:
    clock = Seconds()
    bucket = TokenBucket(100, 2, monotonic=clock)
    clock.now += 3600
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]


def test_who_is_too_early_waits_for_the_turn() -> None:
    bucket = TokenBucket(1000, 1)
    assert all(bucket.take(1) for _ in range(5))


def test_who_would_wait_too_long_takes_nobodys_turn() -> None:
    clock = Seconds()
    bucket = TokenBucket(1, 1, monotonic=clock)
    assert bucket.take(0)
    assert not any(bucket.take(0.5) for _ in range(10))
    clock.now += 1
    assert bucket.take(0)


@pytest.mark.parametrize("waiting", [True, False], ids=["who waits is sent away", "who comes later is sent away"])
def test_a_closed_one_lets_nobody_through(waiting: bool) -> None:
    bucket = TokenBucket(0.01, 1)
    assert bucket.take(0)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(bucket.take(1000)))
    if waiting:
        thread.start()
        bucket.close()
    else:
        bucket.close()
        thread.start()
    thread.join(10)
    assert answers == [False]
