"""Polls that fail: they are tried again, the last good value is served for a while, and the reason is told."""

from __future__ import annotations

import itertools
import queue
from typing import Any

import pytest

from metrics_apiserver.provider import ServiceUnavailableError
from metrics_apiserver.provider.functions import every
from tests.providers.functions.hands import Polling, value

RUNS = "metrics_apiserver_function_polls_total"


def test_failed_poll_is_tried_again_with_growing_breaks(polling: Polling) -> None:
    """After at most 1, 2, 4 and 8 seconds, and half of that at least; then the next period comes first."""
    job = polling.add(every(seconds=60))
    times: list[float] = []

    def fail(_ctx: Any) -> int:
        times.append(polling.clock.monotonic())
        raise ConnectionError("password=hunter2")

    polling.function = fail
    polling.poller.start()
    polling.pass_time(0.1)
    polling.pass_time(job.next_due - polling.clock.monotonic() - 0.2)
    breaks = [after - before for before, after in itertools.pairwise(times)]
    # The steps of the test's clock come on top.
    assert len(breaks) >= 2
    assert all(2**number / 2 <= taken <= 2**number + 0.11 for number, taken in enumerate(breaks)), breaks


def test_retry_that_helps_ends_the_retries(polling: Polling) -> None:
    job = polling.add(every(minutes=60))
    answers: list[Any] = [OSError("no"), OSError("no"), 7]

    def answer(_ctx: Any) -> Any:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    polling.function = answer
    polling.poller.start()
    assert polling.pass_time(10) == 3
    assert value(polling, job) == "7"
    assert (polling.sample(RUNS, {"result": "failed"}), polling.sample(RUNS, {"result": "ok"})) == (2, 1)


def test_system_exit_is_a_failure_like_any_other(polling: Polling) -> None:
    """The thread belongs to all functions."""
    job = polling.add(every(minutes=60))

    def leave(_ctx: Any) -> None:
        raise SystemExit(1)

    polling.function = leave
    polling.poller.start()
    polling.pass_time(0.05)
    with pytest.raises(ServiceUnavailableError, match="its function fails with SystemExit"):
        job.content(polling.clock)


def test_reason_is_logged_once_and_again_when_it_works(polling: Polling, caplog: pytest.LogCaptureFixture) -> None:
    """A function that fails at every poll does not fill the log."""
    caplog.set_level("INFO", "metrics_apiserver")
    polling.add(every(seconds=1))
    polling.function = lambda _ctx: 1 / 0
    polling.poller.start()
    polling.pass_time(10)
    polling.function = lambda _ctx: 1
    polling.pass_time(3)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "external metric depth: its function fails with ZeroDivisionError",
        "external metric depth: its function works again",
    ]
    assert caplog.records[0].exc_info


def test_last_good_value_is_served_until_it_is_too_old(polling: Polling) -> None:
    """Then the reason is told, with both times, and without the text of the author's exception."""
    job = polling.add(every(seconds=5), max_age=20)
    polling.poller.start()
    polling.pass_time(1)

    def fail(_ctx: Any) -> int:
        raise ConnectionError("password=hunter2")

    polling.function = fail
    polling.pass_time(18)
    assert value(polling, job) == "1"
    polling.pass_time(10)
    with pytest.raises(ServiceUnavailableError) as caught:
        job.content(polling.clock)
    sentence = str(caught.value)
    assert sentence.startswith("the last value of external metric depth is from 2026-01-01T12:00:0")
    assert "and is served for 20 s; since 2026-01-01T12:00:0" in sentence
    assert sentence.endswith("its function fails with ConnectionError (the log says more)")
    polling.function = lambda _ctx: 2
    polling.pass_time(6)
    assert value(polling, job) == "2"


@pytest.mark.parametrize(
    ("trigger", "sentence"),
    [
        pytest.param(every(seconds=5), "external metric depth has no value yet: it has not been polled", id="period"),
        pytest.param(queue.SimpleQueue(), "external metric depth has no value yet: there was no event", id="events"),
    ],
)
def test_before_the_first_run_there_is_an_error(polling: Polling, trigger: Any, sentence: str) -> None:
    job = polling.add(trigger)
    with pytest.raises(ServiceUnavailableError) as caught:
        job.content(polling.clock)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        pytest.param(lambda _ctx: [1], "its function returned no value: [1] is not a number", id="a wrong answer"),
        pytest.param(lambda _ctx: {}["x"], "its function fails with KeyError (the log says more)", id="an exception"),
    ],
)
def test_before_the_first_good_run_the_reason_is_told(polling: Polling, function: Any, sentence: str) -> None:
    job = polling.add(every(seconds=5))
    polling.function = function
    polling.poller.start()
    polling.pass_time(0.05)
    with pytest.raises(ServiceUnavailableError) as caught:
        job.content(polling.clock)
    assert f"external metric depth has no value yet: since 2026-01-01T12:00:00Z {sentence}" in str(caught.value)


def test_sentence_that_is_meant_for_the_client_reaches_it(polling: Polling) -> None:
    job = polling.add(every(seconds=5))

    def fail(_ctx: Any) -> int:
        raise ServiceUnavailableError("the broker is being upgraded")

    polling.function = fail
    polling.poller.start()
    polling.pass_time(0.05)
    with pytest.raises(ServiceUnavailableError, match=r"since .* the broker is being upgraded"):
        job.content(polling.clock)
