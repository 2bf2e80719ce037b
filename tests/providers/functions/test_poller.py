"""When functions with a period run, on a clock that the test moves; and when nothing runs any more."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from metrics_apiserver.provider.functions import every
from metrics_apiserver_providers.functions.jobs import Job
from tests.providers.functions.hands import Polling, value


@pytest.mark.parametrize("seconds", [0.5, 5, 60])
def test_poll_comes_at_once_and_then_once_a_period(polling: Polling, seconds: float) -> None:
    """The first is not kept waiting for its place in the period; after that there is one in each."""
    job = polling.add(every(seconds=seconds))
    polling.poller.start()
    assert polling.pass_time(0.01, step=0.005) == 1
    assert value(polling, job) == "1"
    polling.pass_time(1.1 * seconds)
    for _ in range(10):
        assert polling.pass_time(seconds) == 1


def test_nothing_runs_before_the_start(polling: Polling) -> None:
    polling.add(every(seconds=1))
    assert polling.pass_time(10) == 0


def test_metric_that_is_added_later_is_polled_as_well(polling: Polling) -> None:
    polling.poller.start()
    polling.pass_time(5)
    polling.add(every(seconds=1))
    assert polling.pass_time(0.05) == 1


def test_polls_are_spread_over_the_period(polling: Polling) -> None:
    """A thousand of them do not come in one moment, and each keeps its place."""
    jobs = [polling.add(every(seconds=10), f"depth-{number}") for number in range(1000)]
    polling.poller.start()
    polling.pass_time(20, step=0.5)
    seconds = [polling.pass_time(1, step=0.5) for _ in range(20)]
    assert sum(seconds) == 2000
    assert min(seconds) > 50
    assert max(seconds) < 150
    assert seconds[:10] == seconds[10:]
    assert [job.place for job in jobs] == [Job(job.declaration, "*").place for job in jobs]


def test_first_polls_of_many_are_spread_as_well(polling: Polling) -> None:
    """At two hundred a second, whatever the period is."""
    for number in range(1000):
        polling.add(every(hours=1), f"depth-{number}")
    polling.poller.start()
    seconds = [polling.pass_time(1) for _ in range(6)]
    assert sum(seconds) >= 1000
    assert max(seconds[:5]) < 280
    assert seconds[5] < 5


def test_poll_that_is_late_is_counted_with_its_lateness(polling: Polling) -> None:
    """The process was suspended: the places that were missed meanwhile are left out."""
    polling.add(every(seconds=1))
    polling.poller.start()
    polling.pass_time(3)
    runs = polling.sample("metrics_apiserver_function_poll_lateness_seconds_count")
    assert polling.sample("metrics_apiserver_function_poll_lateness_seconds_bucket", {"le": "0.1"}) == runs
    polling.clock.move(100)
    polling.poller.do_due()
    assert polling.pool.run() == 1
    assert polling.sample("metrics_apiserver_function_poll_lateness_seconds_sum") > 98
    assert polling.pass_time(10) == 10


def test_deadline_is_half_a_period(polling: Polling) -> None:
    polling.add(every(seconds=8))
    polling.poller.start()
    polling.pass_time(1)
    assert polling.deadlines == [4]


def test_poll_that_waits_for_a_thread_is_not_queued_twice(polling: Polling) -> None:
    """All threads are busy for five periods; then it is polled once."""
    polling.add(every(seconds=1))
    polling.poller.start()
    for _ in range(50):
        polling.clock.move(0.1)
        polling.poller.do_due()
    assert polling.pool.run() == 1


def test_removed_metric_is_polled_no_more(polling: Polling) -> None:
    """Whatever its trigger is; what was queued already does not run."""
    events: queue.Queue[int] = queue.Queue()
    jobs = [polling.add(every(seconds=1)), polling.add(events, "events")]
    polling.poller.start()
    assert polling.pass_time(1) >= 1
    polling.clock.move(2)
    polling.poller.do_due()
    assert polling.pool.tasks
    polling.poller.remove(jobs)
    events.put(1)
    calls = len(polling.deadlines)
    polling.pass_time(10)
    assert len(polling.deadlines) == calls


def test_run_that_is_cancelled_meanwhile_is_heard_by_nobody(polling: Polling) -> None:
    job = polling.add(every(seconds=1))

    def function(_ctx: Any) -> int:
        polling.poller.remove([job])
        return 99

    polling.function = function
    polling.poller.start()
    polling.pass_time(1)
    assert job.outcome.content is None


def test_nothing_runs_after_the_end(polling: Polling) -> None:
    """Not even what was queued already."""
    events: queue.Queue[int] = queue.Queue()
    polling.add(every(seconds=1))
    polling.add(events, "events")
    polling.poller.start()
    polling.clock.move(2)
    polling.poller.do_due()
    assert polling.pool.tasks
    polling.poller.stop()
    events.put(1)
    polling.pass_time(10)
    assert (polling.deadlines, polling.pool.stopped) == ([], True)
