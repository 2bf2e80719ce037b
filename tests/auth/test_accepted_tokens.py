"""Whose tokens were accepted lately."""

from __future__ import annotations

from metrics_apiserver.auth.accepted_tokens import AcceptedTokens
from tests.auth.making import WallClock


def test_a_token_is_remembered_for_an_hour_from_its_last_review() -> None:
    clock = WallClock()
    accepted = AcceptedTokens(clock.monotonic)
    assert accepted.name(b"a") is None
    accepted.add(b"a", "alice")
    clock.moved = 3000
    accepted.add(b"a", "alice")
    clock.moved = 6000
    assert accepted.name(b"a") == "alice"
    clock.moved = 6700
    assert accepted.name(b"a") is None


def test_a_refused_token_is_a_stranger_s_again() -> None:
    accepted = AcceptedTokens(WallClock().monotonic)
    accepted.add(b"a", "alice")
    accepted.discard(b"a")
    accepted.discard(b"never seen")
    assert accepted.name(b"a") is None


def test_one_user_s_tokens_drive_out_no_other_s() -> None:
    """However many it has: only its own oldest make room."""
    accepted = AcceptedTokens(WallClock().monotonic, tokens=20, each=4)
    accepted.add(b"known", "autoscaler")
    for number in range(1000):
        accepted.add(b"%d" % number, "mallory")
        accepted.add(b"%d" % number, "mallory")
    assert accepted.name(b"known") == "autoscaler"
    assert [number for number in range(1000) if accepted.name(b"%d" % number)] == [996, 997, 998, 999]


def test_the_number_of_tokens_is_bounded() -> None:
    accepted = AcceptedTokens(WallClock().monotonic, tokens=3, each=2)
    for number in range(100):
        accepted.add(b"%d" % number, f"user {number}")
    assert [number for number in range(100) if accepted.name(b"%d" % number)] == [97, 98, 99]
