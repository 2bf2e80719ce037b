"""Runs that are past their deadline: they have failed, their threads leave, and nothing is started twice."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from metrics_apiserver.provider import ServiceUnavailableError
from metrics_apiserver.provider.functions import every
from metrics_apiserver_providers.functions.jobs import Job, State
from tests.providers.functions.hands import Polling, value


def overdue(polling: Polling, job: Job) -> None:
    """Be called as the function, and hang until the deadline has passed."""
    polling.clock.move(job.seconds + 0.1)
    polling.poller.do_due()


def test_poll_past_its_deadline_has_failed_and_its_thread_leaves(polling: Polling) -> None:
    """Its late answer counts for nothing, and it is not started again until it returns."""
    job = polling.add(every(seconds=4))
    seen = []

    def hang(_ctx: Any) -> int:
        overdue(polling, job)
        seen.append((job.state, list(polling.pool.left)))
        polling.clock.move(60)
        polling.poller.do_due()
        seen.append((job.state, list(polling.pool.tasks)))
        return 99

    polling.function = hang
    polling.poller.start()
    polling.clock.move(0.1)
    polling.poller.do_due()
    polling.pool.tasks.pop()()
    assert seen == [(State.OVERDUE, [threading.get_ident()]), (State.OVERDUE, [])]
    with pytest.raises(ServiceUnavailableError, match="its function does not return within 2 s"):
        job.content(polling.clock)
    assert polling.sample("metrics_apiserver_function_strays") == 1
    polling.function = lambda _ctx: 3
    assert polling.pass_time(4) == 1
    assert value(polling, job) == "3"


def test_poll_that_ends_late_has_failed_even_if_nobody_looked(polling: Polling) -> None:
    """The thread that keeps the time was late itself."""
    job = polling.add(every(seconds=4))

    def late(_ctx: Any) -> int:
        polling.clock.move(2.5)
        return 99

    polling.function = late
    polling.poller.start()
    polling.pass_time(0.05)
    with pytest.raises(ServiceUnavailableError, match="its function does not return within 2 s"):
        job.content(polling.clock)


def test_thread_leaves_later_if_too_many_have_left(polling: Polling) -> None:
    """It is tried again every second."""
    job = polling.add(every(seconds=4))
    left = []

    def hang(_ctx: Any) -> int:
        polling.pool.most_strays = 0
        overdue(polling, job)
        left.append(len(polling.pool.left))
        polling.pool.most_strays = 1
        polling.clock.move(1)
        polling.poller.do_due()
        left.append(len(polling.pool.left))
        return 99

    polling.function = hang
    polling.poller.start()
    polling.clock.move(0.1)
    polling.poller.do_due()
    polling.pool.tasks.pop()()
    assert left == [0, 1]


def test_event_during_an_overdue_run_starts_one_after_it(polling: Polling) -> None:
    events: queue.Queue[int] = queue.Queue()
    job = polling.add(events)

    def hang(_ctx: Any) -> int:
        polling.function = lambda _ctx: 5
        overdue(polling, job)
        events.put(1)
        polling.clock.move(0.2)
        polling.poller.do_due()
        return 99

    polling.function = hang
    polling.poller.start()
    events.put(1)
    assert polling.pass_time(0.2) == 2
    assert value(polling, job) == "5"


@pytest.mark.parametrize("looked", [True, False], ids=["overdue", "late, and nobody looked"])
def test_event_whose_run_came_too_late_is_tried_again(polling: Polling, looked: bool) -> None:
    """No period brings the next run, and the value from before the event would be served for ever."""
    events: queue.Queue[int] = queue.Queue()
    job = polling.add(events)

    def late(_ctx: Any) -> int:
        polling.function = lambda _ctx: 5
        polling.clock.move(job.seconds + 0.1)
        if looked:
            polling.poller.do_due()
        return 99

    polling.poller.start()
    events.put(1)
    polling.pass_time(0.2)
    assert value(polling, job) == "1"
    polling.function = late
    events.put(2)
    assert polling.pass_time(0.2) == 1
    assert value(polling, job) == "1"
    assert polling.pass_time(3) == 1
    assert value(polling, job) == "5"
