"""Reviews: kept for a moment, shared while they are under way, and few at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from metrics_apiserver.auth.review_cache import ReviewCache
from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.errors import ServiceUnavailableError, WouldWaitError
from metrics_apiserver.kube.reviews import REVIEW_SECONDS
from tests.auth.conftest import wait_until
from tests.auth.making import Gate, WallClock

ALICE, BOB, STRANGER = "alice", "bob", None


def cache(clock: WallClock | None = None, *, size: int = 100, waiting: Waiting | None = None) -> ReviewCache[str, int]:
    """A cache whose keys tell whom they are about: those of strangers begin with a `?`."""
    return ReviewCache(
        "tokens",
        size=size,
        verified=lambda key, _: not key.startswith("?"),
        monotonic=(clock or WallClock()).monotonic,
        waiting=waiting or Waiting(),
        characters=len,
    )


def kept(reviews: ReviewCache[str, int], key: str) -> int | None:
    """Return the answer that is had without waiting."""
    try:
        return reviews.get(key, Counted(), asker=ALICE, may_wait=False)
    except WouldWaitError:
        return None


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
    assert kept(reviews, "a") is None
    assert reviews.get("a", review, asker=ALICE) == 1
    clock.moved = 9.9
    assert (reviews.get("a", review, asker=ALICE), kept(reviews, "a")) == (1, 1)
    clock.moved = 10.1
    assert kept(reviews, "a") is None
    assert reviews.get("a", review, asker=ALICE) == 2


def test_the_number_of_answers_is_bounded() -> None:
    reviews = cache(size=2)
    for key in ("a", "b", "c"):
        reviews.get(key, Counted(), asker=ALICE)
    assert [kept(reviews, key) for key in ("a", "b", "c")] == [None, 1, 1]


def test_long_keys_leave_room_for_fewer() -> None:
    reviews = cache(size=4)
    keys = ["a" * 2500, "b", "c"]
    for key in keys:
        reviews.get(key, Counted(), asker=ALICE)
    assert [kept(reviews, key) for key in keys] == [None, 1, 1]
    # One for which there is no room at all is answered, and not kept.
    assert reviews.get("d" * 5000, Counted(), asker=ALICE) == 1
    assert kept(reviews, "d" * 5000) is None


def test_a_failure_is_not_kept() -> None:
    reviews = cache()

    def fail() -> int:
        raise ServiceUnavailableError("away")

    for _ in range(2):
        with pytest.raises(ServiceUnavailableError, match="away"):
            reviews.get("a", fail, asker=ALICE)
    assert reviews.get("a", Counted(), asker=ALICE) == 1


def held(gate: Gate, answer: Callable[[], int]) -> Callable[[], int]:
    """A review that waits at the gate."""

    def review() -> int:
        gate.pass_through()
        return answer()

    return review


@pytest.mark.parametrize("fails", [pytest.param(False, id="an answer"), pytest.param(True, id="an error")])
def test_equal_reviews_share_one_call(fails: bool) -> None:
    gate, count, reviews = Gate(), Counted(), cache()

    def answer() -> int:
        if fails:
            raise ServiceUnavailableError(f"away {count()}")
        return count()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(reviews.get, "a", held(gate, answer), asker=ALICE) for _ in range(8)]
        gate.wait_for(1)
        gate.open()
        if fails:
            sentences = [str(future.exception(20)) for future in futures]
            # Who came after the end asks again; who waited has the same error.
            assert set(sentences) <= {f"away {number}" for number in range(1, count.count + 1)}
        else:
            assert [future.result(20) for future in futures] == [1] * 8
            assert count.count == 1


def refused(reviews: ReviewCache[str, int], key: str, asker: str | None) -> bool:
    """Whether a question is refused at once."""
    try:
        reviews.get(key, Counted(), asker=asker)
    except ServiceUnavailableError as error:
        assert error.message == "too many tokens are waiting for the cluster's answer: try again"  # noqa: PT017
        return True
    return False


@pytest.mark.parametrize(
    ("held_by", "most", "free_for"),
    [
        pytest.param([STRANGER], 2, [ALICE, BOB], id="strangers have their own places"),
        pytest.param([ALICE], 3, [STRANGER, BOB], id="one user leaves some to the others"),
        pytest.param([ALICE, BOB], 5, [STRANGER, "carol"], id="the last of the verified is for one more"),
        pytest.param([ALICE, BOB, "carol"], 6, [STRANGER], id="verified users leave the strangers theirs"),
    ],
)
def test_who_asks_much_takes_nothing_from_others(
    held_by: list[str | None], most: int, free_for: list[str | None]
) -> None:
    """Of six places for the verified, three for each, and two for strangers; each question is another."""
    gate, waiting = Gate(), Waiting(verified=6, each=3, strangers=2)
    reviews = cache(waiting=waiting)
    with ThreadPoolExecutor(60) as pool:
        asked = [
            pool.submit(reviews.get, f"{asker} {number}", held(gate, Counted()), asker=asker)
            for asker in held_by
            for number in range(20)
        ]
        gate.wait_for(most)
        wait_until(lambda: sum(each.done() for each in asked) == len(asked) - most)
        assert {type(each.exception(20)) for each in asked if each.done()} == {ServiceUnavailableError}
        assert waiting.taken == gate.count == most
        assert all(refused(reviews, f"{asker} again", asker) for asker in held_by)
        assert not any(refused(reviews, f"{asker} anew", asker) for asker in free_for)
        gate.open()
        assert [each.result(20) for each in asked if not each.exception(20)] == [1] * most
    # What ended made room.
    assert waiting.taken == 0
    assert not any(refused(reviews, f"{asker} again", asker) for asker in held_by)


def test_both_kinds_of_questions_share_the_places() -> None:
    gate, waiting = Gate(), Waiting(strangers=2)
    one, other = cache(waiting=waiting), cache(waiting=waiting)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(each.get, "a", held(gate, Counted()), asker=STRANGER) for each in (one, other)]
        gate.wait_for(2)
        assert refused(one, "b", STRANGER)
        assert refused(other, "b", STRANGER)
        gate.open()
        assert [each.result(20) for each in asked] == [1, 1]


def test_equal_questions_wait_for_a_moment_where_nobody_needs_the_place() -> None:
    """As many as there are places; the next is refused at once, and whoever has a right to a place takes it back."""
    gate, waiting, clock = Gate(), Waiting(verified=3, each=1, strangers=3), WallClock()
    reviews = cache(clock, waiting=waiting)
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(reviews.get, "a", held(gate, Counted()), asker=ALICE)
        gate.wait_for(1)
        # The moment lasts as long as this test does.
        clock.moved = -30
        guests = [pool.submit(reviews.get, "a", Counted(), asker=ALICE) for _ in range(5)]
        wait_until(lambda: waiting.taken == 6)
        assert refused(reviews, "a", ALICE)
        owners = [
            pool.submit(reviews.get, str(asker), held(gate, Counted()), asker=asker)
            for asker in (BOB, STRANGER, STRANGER)
        ]
        wait_until(lambda: sum(each.done() for each in guests) == 3)
        assert waiting.taken == 6
        gate.open()
        assert [each.result(20) for each in (first, *owners)] == [1, 1, 1, 1]
        assert sorted(str(each.exception(20) or each.result()) for each in guests)[:2] == ["1", "1"]
    assert waiting.taken == 0


def test_strangers_are_the_first_guests_to_go() -> None:
    waiting = Waiting(verified=2, each=2, strangers=1)
    guests: list[Future[int]] = [Future(), Future(), Future()]
    for guest, asker in zip(guests, (BOB, STRANGER, BOB), strict=True):
        assert waiting.visit(guest, asker)
    assert not waiting.visit(Future(), BOB)
    assert waiting.enter(ALICE)
    assert [guest.cancelled() for guest in guests] == [False, True, False]
    assert waiting.enter(BOB)
    assert [guest.cancelled() for guest in guests] == [True, True, False]
    # A guest that has left already is not missed.
    for guest in guests:
        waiting.depart(guest)
    assert waiting.taken == 2


def test_a_guest_gets_the_failure_of_the_others() -> None:
    gate = Gate()
    reviews = cache(waiting=Waiting(verified=2, each=1))

    def fail() -> int:
        gate.pass_through()
        raise ServiceUnavailableError("away")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reviews.get, "a", fail, asker=ALICE)
        gate.wait_for(1)
        guest = pool.submit(reviews.get, "a", Counted(), asker=ALICE)
        gate.open()
        assert str(first.exception(20)) == "away"
        # Or it came after the end, and asked for itself.
        assert guest.exception(20) is None or str(guest.exception()) == "away"


def test_who_finds_no_place_does_not_wait_for_a_slow_cluster() -> None:
    """Not even for the moment that others get: it is over for this question."""
    gate, clock = Gate(), WallClock()
    waiting = Waiting(verified=9, each=1)
    reviews = cache(clock, waiting=waiting)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(reviews.get, "a", held(gate, Counted()), asker=ALICE)
        gate.wait_for(1)
        clock.moved = 0.3
        assert refused(reviews, "a", ALICE)
        gate.open()
        assert first.result(20) == 1


def test_nobody_waits_longer_than_a_review_may_take() -> None:
    """However long it takes: whoever waits is let go, whoever comes then asks anew, and the late answer is not kept."""
    gate, clock, waiting = Gate(), WallClock(), Waiting()
    reviews = cache(clock, waiting=waiting)
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(reviews.get, "a", held(gate, Counted()), asker=ALICE)
        gate.wait_for(1)
        # A moment before the end, for the wait itself.
        clock.moved = REVIEW_SECONDS + 0.9
        with pytest.raises(ServiceUnavailableError, match="the cluster has not answered within 6 s"):
            reviews.get("a", Counted(), asker=ALICE)
        clock.moved = REVIEW_SECONDS + 1.1
        assert reviews.get("a", lambda: 7, asker=ALICE) == 7
        gate.open()
        assert late.result(20) == 1
    assert kept(reviews, "a") == 7
    assert waiting.taken == 0


def test_strangers_do_not_drive_out_what_is_kept_of_the_verified() -> None:
    reviews = cache(size=8)
    for number in range(8):
        reviews.get(f"{number}", Counted(), asker=ALICE)
    for number in range(1000):
        reviews.get(f"?{number}", Counted(), asker=STRANGER)
    assert [kept(reviews, f"{number}") for number in range(8)] == [1] * 8
    assert [number for number in range(1000) if kept(reviews, f"?{number}")] == [998, 999]


def test_what_is_kept_is_looked_up_while_everybody_waits() -> None:
    """The worker's loop asks so: no lock is held by who waits."""
    gate, reviews = Gate(), cache()
    reviews.get("kept", Counted(), asker=ALICE)
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(reviews.get, "a", held(gate, Counted()), asker=name) for name in "abcdefghij"]
        gate.wait_for(1)
        assert (kept(reviews, "kept"), kept(reviews, "a")) == (1, None)
        gate.open()
        assert [each.result(20) for each in asked] == [1] * 10
