"""Calls of somebody's code, which may hang or raise anything."""

from __future__ import annotations

import logging
import threading

import pytest

from metrics_apiserver.concurrency import HangsError, TimedCall, within
from tests.controlplane.waiting import wait_until

LOGGER = logging.getLogger("tests.calls")


def test_its_result_is_given_to_who_waits() -> None:
    call = TimedCall(lambda: threading.current_thread().name, "the-call")
    assert call.wait(10) == "the-call"


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3)], ids=repr)
def test_what_it_raises_is_raised_where_it_is_waited_for(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        TimedCall(fail, "failing").wait(10)
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "result"), [pytest.param(None, [1], id="returns"), pytest.param(ValueError(), [], id="raises")]
)
def test_one_that_hangs_is_given_up_and_heard_of_when_it_comes_back(error: Exception | None, result: list[int]) -> None:
    release, told, late = threading.Event(), threading.Event(), list[list[int]]()

    def hang() -> int:
        release.wait(10)
        if error is not None:
            raise error
        return 1

    call = TimedCall(hang, "hanging", given_up=told.set, late=late.append)
    with pytest.raises(HangsError):
        call.wait(0.01)
    assert told.is_set()
    assert late == []
    release.set()
    wait_until(lambda: late == [result], 10, lambda: f"{late}")


def test_one_that_comes_back_in_time_is_not_late() -> None:
    called: list[str] = []
    call = TimedCall(
        lambda: 1, "quick", given_up=lambda: called.append("given up"), late=lambda _: called.append("late")
    )
    assert call.wait(10) == 1
    assert called == []


def test_function_that_returns_is_not_waited_for_any_longer() -> None:
    ran = threading.Event()
    assert within(60, ran.set, "stop", logger=LOGGER, failure="it failed")
    assert ran.is_set()


def test_function_that_hangs_is_given_up() -> None:
    """It stays behind on its thread."""
    release = threading.Event()
    assert not within(0.01, release.wait, "stop", logger=LOGGER, failure="it failed")
    release.set()


@pytest.mark.parametrize("error", [RuntimeError("no stop"), SystemExit(1)], ids=repr)
def test_function_that_raises_is_logged(caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    """A failure to stop is no reason not to end."""

    def fail() -> None:
        raise error

    assert within(60, fail, "stop", logger=LOGGER, failure="it failed to stop")
    assert [record.message for record in caplog.records] == ["it failed to stop"]
