"""A thread in the background: its turns, its pauses, and that nothing ends it but a stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from metrics_apiserver.concurrency import Background
from tests.controlplane.waiting import wait_until

LOGGER = logging.getLogger("tests.background")


class Turns:
    """Counts turns, each of which does what is next in the list, and after that pauses for ever."""

    def __init__(self, *turns: float | BaseException | None) -> None:
        self.count = 0
        self._turns: Iterator[float | BaseException | None] = iter(turns)

    def __call__(self) -> float | None:
        self.count += 1
        turn = next(self._turns, 1e6)
        if isinstance(turn, BaseException):
            raise turn
        return turn


@pytest.fixture(name="begin")
def _begin() -> Iterator[Callable[..., Background]]:
    begun: list[Background] = []

    def begin(turn: Callable[[], float | None], **how: object) -> Background:
        begun.append(Background("in-the-background", turn, logger=LOGGER, **how))  # type: ignore[arg-type]
        begun[-1].start()
        return begun[-1]

    yield begin
    for each in begun:
        each.stop(10)
        assert not each.alive


def test_turns_follow_each_other_until_one_was_the_last(begin: Callable[..., Background]) -> None:
    turns, ended = Turns(0.0, 0.001, None), threading.Event()
    background = begin(turns, ended=ended.set)
    assert ended.wait(10)
    background.join(10)
    assert (turns.count, background.alive) == (3, False)


def test_a_stop_ends_a_pause_however_long_it_is(begin: Callable[..., Background]) -> None:
    turns = Turns()
    background = begin(turns)
    wait_until(lambda: turns.count == 1, 10, "there is no turn")
    background.stop(10)
    assert (turns.count, background.alive) == (1, False)


def test_who_wakes_it_gets_a_turn_even_in_the_middle_of_one(begin: Callable[..., Background]) -> None:
    count, inside, go_on = 0, threading.Event(), threading.Event()

    def turn() -> float:
        nonlocal count
        count += 1
        inside.set()
        go_on.wait(10)
        return 1e6

    background = begin(turn)
    assert inside.wait(10)
    background.wake()
    go_on.set()
    wait_until(lambda: count == 2, 10, "the second turn does not come")
    background.wake()
    wait_until(lambda: count == 3, 10, "the third turn does not come")


def test_it_is_not_woken_within_its_spacing(begin: Callable[..., Background]) -> None:
    times: list[float] = []
    background = begin(lambda: times.append(time.monotonic()) or 1e6, spacing=0.2)  # type: ignore[func-returns-value]
    wait_until(lambda: background.wake() or len(times) >= 3, 10, "it is not woken", interval=0.005)  # type: ignore[func-returns-value]
    assert times[2] - times[0] >= 0.4 - 0.01


@pytest.mark.parametrize("error", [ValueError("a mistake"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_whatever_a_turn_raises_is_logged_and_another_follows(
    begin: Callable[..., Background], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    turns, told = Turns(error, 0.0), []

    def mistaken(found: BaseException) -> float:
        told.append(found)
        return 0.0

    begin(turns, failure="it cannot be done", mistaken=mistaken)
    wait_until(lambda: turns.count == 3, 10, "no turn follows")
    assert told == [error]
    assert [(record.message, record.exc_info is not None) for record in caplog.records] == [("it cannot be done", True)]


def test_the_same_mistake_is_logged_once_until_a_turn_goes_well(
    begin: Callable[..., Background], caplog: pytest.LogCaptureFixture
) -> None:
    errors = [*[ValueError("same")] * 5, ValueError("other"), 0.0, ValueError("other")]
    turns = Turns(*errors)
    begin(turns, mistaken=lambda _error: 0.0)
    wait_until(lambda: turns.count == 9, 10, "the turns end")
    messages = [str(record.exc_info and record.exc_info[1]) for record in caplog.records]
    assert messages == ["same", "other", "other"]


def test_its_end_is_told_also_when_it_is_stopped(begin: Callable[..., Background]) -> None:
    ended = threading.Event()
    background = begin(Turns(), ended=ended.set)
    background.stop()
    assert ended.wait(10)


def test_a_turn_may_stop_its_own_thread(begin: Callable[..., Background]) -> None:
    background: Background | None = None

    def turn() -> float:
        assert background is not None
        background.stop(10)
        return 0.0

    background = Background("stops-itself", turn, logger=LOGGER)
    background.start()
    background.join(5)
    assert not background.alive


def test_a_stop_at_any_moment_ends_it() -> None:
    """Also between a turn's beginning and the clearing of what wakes it."""
    for number in range(200):
        background = Background("stopped", lambda: 1e6, logger=LOGGER)
        background.start()
        time.sleep(number * 1e-6)
        background.stop(10)
        assert not background.alive


def test_one_that_was_never_started_is_stopped_without_a_wait() -> None:
    background = Background("never", lambda: None, logger=LOGGER)
    background.stop(10)
    assert not background.alive
