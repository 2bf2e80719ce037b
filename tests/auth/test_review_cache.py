"""Reviews: kept for a moment, shared while they are under way, and few at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from app.auth.review_cache import ReviewCache, Waiting
from app.errors import ServiceUnavailableError
from tests.auth.making import Gate, WallClock


def cache(clock: WallClock | None = None, *, size: int = 100, waiting: Waiting | None = None) -> ReviewCache[str, int]:
    return ReviewCache("tokens", size=size, monotonic=(clock or WallClock()).monotonic, waiting=waiting or Waiting())


class Counted:
    """A review that answers with how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


def test_an_answer_counts_for_ten_seconds() -> None:
    clock, review = WallClock(), Counted()
    reviews = cache(clock)
    assert reviews.cached("a") is None
    assert reviews.get("a", review) == 1
    clock.moved = 9.9
    assert (reviews.get("a", review), reviews.cached("a")) == (1, 1)
    clock.moved = 10.1
    assert reviews.cached("a") is None
    assert reviews.get("a", review) == 2


def test_the_number_of_answers_is_bounded() -> None:
    reviews = cache(size=2)
    for key in ("a", "b", "c"):
        reviews.get(key, Counted())
    assert [reviews.cached(key) for key in ("a", "b", "c")] == [None, 1, 1]


def test_long_keys_leave_room_for_fewer() -> None:
    reviews: ReviewCache[str, int] = ReviewCache(
        "tokens", size=4, monotonic=WallClock().monotonic, waiting=Waiting(), characters=len
    )
    keys = ["a" * 2500, "b", "c"]
    for key in keys:
        reviews.get(key, Counted())
    assert [reviews.cached(key) for key in keys] == [None, 1, 1]
    # One for which there is no room at all is answered, and not kept.
    assert reviews.get("d" * 5000, Counted()) == 1
    assert reviews.cached("d" * 5000) is None


def test_a_failure_is_not_kept() -> None:
    reviews = cache()

    def fail() -> int:
        raise ServiceUnavailableError("away")

    for _ in range(2):
        with pytest.raises(ServiceUnavailableError, match="away"):
            reviews.get("a", fail)
    assert reviews.get("a", Counted()) == 1


def held(gate: Gate, answer: Callable[[], int]) -> Callable[[], int]:
    """A review that waits at the gate."""

    def review() -> int:
        gate.pass_through()
        return answer()

    return review


def wait_until_refused(attempt: Callable[[], object]) -> None:
    """Try until it is refused for too much that is under way: who waits does not say so."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            attempt()
        except ServiceUnavailableError as error:
            assert "too many tokens are waiting" in error.message  # noqa: PT017 - it may also not be raised yet
            return
    pytest.fail("nothing was refused")


@pytest.mark.parametrize("fails", [pytest.param(False, id="an answer"), pytest.param(True, id="an error")])
def test_equal_reviews_share_one_call(fails: bool) -> None:
    gate, count, reviews = Gate(), Counted(), cache()

    def answer() -> int:
        if fails:
            raise ServiceUnavailableError(f"away {count()}")
        return count()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(reviews.get, "a", held(gate, answer)) for _ in range(8)]
        gate.wait_for(1)
        gate.open()
        if fails:
            sentences = [str(future.exception(20)) for future in futures]
            # Who came after the end asks again; who waited has the same error.
            assert set(sentences) <= {f"away {number}" for number in range(1, count.count + 1)}
        else:
            assert [future.result(20) for future in futures] == [1] * 8
            assert count.count == 1


def test_sixteen_are_under_way_and_the_seventeenth_is_refused() -> None:
    gate, reviews = Gate(), cache()
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(reviews.get, str(number), held(gate, Counted())) for number in range(16)]
        gate.wait_for(16)
        begin = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match="too many tokens are waiting for the cluster's answer"):
            reviews.get("16", Counted())
        assert time.monotonic() - begin < 1
        gate.open()
        assert [future.result(20) for future in futures] == [1] * 16
    # What ended made room.
    assert reviews.get("16", Counted()) == 1


def test_equal_requests_do_not_take_every_thread_either() -> None:
    """Twenty-four wait with patience, whoever else comes only for a moment."""
    gate, waiting = Gate(), Waiting()
    one, other = cache(waiting=waiting), cache(waiting=waiting)
    with ThreadPoolExecutor(24) as pool:
        futures: list[Future[int]] = [pool.submit(one.get, "a", held(gate, Counted())) for _ in range(12)]
        futures += [pool.submit(other.get, "b", held(gate, Counted())) for _ in range(12)]
        gate.wait_for(2)
        wait_until_refused(lambda: one.get("a", Counted()))
        # Both kinds share the room: a new question finds none.
        with pytest.raises(ServiceUnavailableError):
            one.get("c", Counted())
        gate.open()
        assert [future.result(20) for future in futures] == [1] * 24
    assert one.get("c", Counted()) == 1


def test_who_finds_no_room_gets_an_answer_that_comes_soon() -> None:
    gate, waiting = Gate(), Waiting(most=1)
    reviews = cache(waiting=waiting)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reviews.get, "a", held(gate, Counted()))
        gate.wait_for(1)
        opener = threading.Timer(0.05, gate.open)
        opener.start()
        assert reviews.get("a", Counted()) == 1
        assert first.result(20) == 1
        opener.join()


def test_who_finds_no_room_does_not_wait_for_a_silent_cluster() -> None:
    gate, clock = Gate(), WallClock()
    reviews = cache(clock, waiting=Waiting(most=1))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(reviews.get, "a", held(gate, Counted()))
        gate.wait_for(1)
        clock.moved = 0.3
        took = []
        for _ in range(5):
            begin = time.monotonic()
            with pytest.raises(ServiceUnavailableError):
                reviews.get("a", Counted())
            took.append(time.monotonic() - begin)
        # The quickest: other programs have the processor too.
        assert min(took) < 0.1
        gate.open()
        assert first.result(20) == 1
