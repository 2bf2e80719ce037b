"""The table of the server's threads, and the rooms in which they wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metrics_apiserver.concurrency import budget
from metrics_apiserver.concurrency.budget import Room, SharedRoom


def test_the_rows_add_up_to_the_threads() -> None:
    """And some are left for those who wait for nobody, among whom is what the kubelet and the aggregator ask."""
    rows = (
        budget.REVIEWS_OF_VERIFIED,
        budget.REVIEWS_OF_STRANGERS,
        budget.PROVIDERS,
        budget.SCRAPES,
        budget.CLUSTER,
        budget.BODIES,
        budget.LARGE_ANSWERS,
        budget.NOBODY,
    )
    assert sum(rows) == budget.THREADS
    assert all(row > 0 for row in rows)
    assert budget.NOBODY >= 8
    # Beside a user who takes all it may, the autoscaler's five workers find room.
    assert budget.REVIEWS_OF_VERIFIED - budget.REVIEWS_OF_ONE_USER > 5


def test_the_page_has_the_table() -> None:
    """docs/architecture.md is what people read."""
    text = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
    of_verified = f"{budget.REVIEWS_OF_VERIFIED} ({budget.REVIEWS_OF_ONE_USER})"
    cells = [
        f"{of_verified}, {budget.REVIEWS_OF_STRANGERS}",
        str(budget.PROVIDERS),
        str(budget.SCRAPES),
        str(budget.CLUSTER),
        str(budget.BODIES),
        str(budget.LARGE_ANSWERS),
        f"{budget.NOBODY}, and every place above that is not taken",
    ]
    table = text.split("| for | places |")[1].split("\n\n")[0]
    assert [row.split("|")[2].strip() for row in table.splitlines()[2:]] == cells
    assert f"The server has {budget.THREADS} threads." in text


def test_room_is_taken_at_once_or_not_at_all() -> None:
    """And given back."""
    room = Room(2)
    assert [room.enter(), room.enter(), room.enter()] == [True, True, False]
    room.leave()
    assert (room.taken, room.enter()) == (1, True)


def fill(room: SharedRoom, holders: str) -> str:
    """Let each of these try to take a place, in this order; give those who got one."""
    return "".join(holder for holder in holders if room.enter(holder))


@pytest.mark.parametrize(
    ("most", "each", "kept", "members", "coming", "entered"),
    [
        pytest.param(6, 3, 0, "", "aaaaabbbbbc", "aaabbb", id="nobody has more than each may"),
        pytest.param(6, 3, 1, "", "aaaaabbbbbcd", "aaabbc", id="the last place is for one who has none"),
        pytest.param(6, 6, 0, "abc", "aaaaaabc", "aaaabc", id="a place is kept for each member"),
        pytest.param(6, 6, 0, "abc", "aabaaaac", "aabaac", id="but not for one that has one already"),
        pytest.param(6, 6, 0, "abcdefgh", "aaaaaabcdefgh", "aaabcd", id="at most half is kept for many members"),
        pytest.param(6, 2, 0, "ab", "xxaabb", "xxaabb", id="who is no member any more counts as well"),
        pytest.param(4, 4, 0, "ab", "xxxab", "xxab", id="and leaves the members theirs"),
    ],
)
def test_places_are_shared(most: int, each: int, kept: int, members: str, coming: str, entered: str) -> None:
    room = SharedRoom(most, each=each, kept=kept)
    room.divide(members, each=each)
    assert fill(room, coming) == entered
    assert room.taken == len(entered)
    assert {holder: room.held(holder) for holder in coming} == {holder: entered.count(holder) for holder in coming}
    for holder in entered:
        room.leave(holder)
    assert room.taken == 0
    assert fill(room, coming) == entered


def test_no_room_is_overfull_whoever_comes_at_once() -> None:
    """Threads that come and go as fast as they can, two of each holder."""
    room, most, begin = SharedRoom(4, each=2, kept=1), 0, threading.Barrier(8)
    inside, lock = 0, threading.Lock()

    def come_and_go(holder: int) -> None:
        nonlocal inside, most
        begin.wait(20)
        for _ in range(2000):
            if room.enter(holder):
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1
                room.leave(holder)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, [0, 0, 1, 1, 2, 2, 3, 3]))
    assert 1 <= most <= 4
    assert room.taken == 0
