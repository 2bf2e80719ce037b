"""Events from queues and iterables: one run for those that come together, one more for those during a run."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from metrics_apiserver.provider import MetricNotFoundError, NotFoundError
from metrics_apiserver_providers.functions.jobs import State
from tests.controlplane.waiting import wait_until
from tests.providers.functions.hands import Polling, value


def test_value_of_an_event_that_is_too_old_is_not_found(polling: Polling) -> None:
    """Nothing has failed: there was no newer event."""
    events: queue.SimpleQueue[int] = queue.SimpleQueue()
    job = polling.add(events, max_age=60)
    polling.poller.start()
    events.put(1)
    polling.pass_time(59)
    assert value(polling, job) == "1"
    polling.pass_time(2)
    with pytest.raises(NotFoundError, match="and is served for 60 s: there is no newer one") as caught:
        job.content(polling.clock)
    assert not isinstance(caught.value, MetricNotFoundError)


def test_queue_is_looked_into_ten_times_a_second(polling: Polling) -> None:
    """Events that come together are one run; no event, no run."""
    events: queue.Queue[Any] = queue.Queue()
    job = polling.add(events)
    polling.poller.start()
    assert polling.pass_time(5) == 0
    for event in (None, 1, 2):
        events.put(event)
    assert polling.pass_time(0.1) == 1
    assert value(polling, job) == "1"
    assert polling.pass_time(5) == 0


def test_queue_that_is_added_later_is_looked_into(polling: Polling) -> None:
    polling.poller.start()
    events: queue.Queue[int] = queue.Queue()
    events.put(1)
    polling.add(events)
    assert polling.pass_time(0.1) == 1


class BrokenQueue:
    """A queue whose other end is gone."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def get_nowait(self) -> object:
        raise self.error


# What client libraries raise.
ERRORS = [EOFError(), asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit(), SystemExit(3)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_queue_that_fails_is_given_up_and_hurts_no_other(
    polling: Polling, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    events: queue.Queue[int] = queue.Queue()
    polling.add(BrokenQueue(error), "broken")
    polling.add(events, "whole")
    polling.poller.start()
    events.put(1)
    assert polling.pass_time(1) == 1
    assert "external metric broken: its queue failed, and it is not run any more" in caplog.text


def test_event_during_a_run_starts_one_more_after_it(polling: Polling) -> None:
    """Three events, one more run; and never two at once."""
    events: queue.Queue[int] = queue.Queue()
    job = polling.add(events)
    states = []

    def function(_ctx: Any) -> int:
        states.append(job.state)
        if len(states) == 1:
            for _ in range(3):
                events.put(1)
                polling.clock.move(0.1)
                polling.poller.do_due()
            assert polling.pool.tasks == []
        return len(states)

    polling.function = function
    polling.poller.start()
    events.put(1)
    assert polling.pass_time(1) == 2
    assert states == [State.RUNNING, State.RUNNING]
    assert value(polling, job) == "2"


def test_failed_run_of_an_event_is_tried_until_it_works(polling: Polling) -> None:
    """Nobody will tell again that the value has changed."""
    events: queue.Queue[int] = queue.Queue()
    job = polling.add(events)
    polling.function = lambda _ctx: 1 / 0
    polling.poller.start()
    events.put(1)
    runs = polling.pass_time(300, step=0.5)
    assert 10 <= runs <= 17  # after 1, 2, 4, 8, 16, 32 and then 60 seconds at most, and half of that at least
    polling.function = lambda _ctx: 5
    assert polling.pass_time(62) == 1
    assert value(polling, job) == "5"


def test_iterable_of_events_is_iterated_on_a_thread_of_its_own(polling: Polling) -> None:
    """An event at a time; when they are over, the value stays."""
    more = threading.Semaphore(0)

    def events() -> Iterator[int]:
        for number in range(3):
            more.acquire()
            yield number

    job = polling.add(events())
    polling.poller.start()
    for _ in range(3):
        more.release()
        wait_until(lambda: polling.pool.tasks, 10, lambda: "no run was submitted")
        assert polling.pool.run() == 1
    assert value(polling, job) == "1"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_iterable_that_fails_is_given_up_with_its_reason(
    polling: Polling, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def events() -> Iterator[int]:
        yield 1
        raise error

    polling.add(events())
    polling.poller.start()
    words = "external metric depth: its events failed, and it is not run any more"
    wait_until(lambda: words in caplog.text, 10, lambda: caplog.text)
    assert polling.pool.run() == 1
