"""Runs the functions in time: one thread keeps the time, a few run what is due, none of them waits for another."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from metrics_apiserver.provider import Background, Backoff, Clock, RequestContext
from metrics_apiserver.provider.functions import EventQueue, Every, Trigger
from metrics_apiserver_providers.functions.events import EventThread, took_event
from metrics_apiserver_providers.functions.jobs import IN_LOG, Failure, Job, Outcome, State, explain
from metrics_apiserver_providers.functions.pool import Pool
from metrics_apiserver_providers.functions.samples import Content
from metrics_apiserver_providers.functions.telemetry import PollMetrics
from metrics_apiserver_providers.functions.timetable import Action, Timetable

__all__ = ["Poller"]

# The first polls begin at once: a few in the same moment, and of more than that so many a second.
FIRST_POLLS_TOGETHER, FIRST_POLLS_A_SECOND = 8, 200
# A queue of events is looked into this often. Queues have no way of waiting for several of them.
QUEUE_SECONDS = 0.1
STOP_SECONDS = 1.0
LEAVE_AGAIN_SECONDS = 1.0
# A failed run is tried again after about this, then after twice as long, and so on.
_RETRY_SECONDS, _MOST_RETRY_SECONDS = 1.0, 60.0
_FIRST_OF_PERIOD = 0.1
# Where nothing is planned; what is, wakes it.
_IDLE_SECONDS = 60.0


class Poller:
    """Runs jobs at their triggers; never one twice at once. `work` calls the function, and raises if that fails.

    Nothing runs before `start`. The clock is asked for every time; a test moves its own, and calls `do_due`.
    """

    def __init__(
        self,
        work: Callable[[Job, RequestContext], Content],
        *,
        clock: Clock,
        logger: logging.Logger,
        metrics: PollMetrics,
        pool: Pool,
    ) -> None:
        self._work = work
        self._clock = clock
        self._logger = logger
        self._metrics = metrics
        self._pool = pool
        # Guards the timetable and the jobs; functions run outside of it.
        self._lock = threading.RLock()
        self._timetable = Timetable()
        self._jobs: dict[Job, None] = {}
        self._queues: list[tuple[EventQueue, Sequence[Job]]] = []
        self._threads: list[tuple[EventThread, Sequence[Job]]] = []
        self._running = False
        self._background = Background("poller", self._turn, logger=logger)
        # What has not ended a run since the start, and whether that is nothing any more.
        self._unpolled: set[Job] = set()
        self._all_polled = threading.Event()
        metrics.count_strays(lambda: pool.strays)

    def add(self, trigger: Trigger, jobs: Sequence[Job]) -> None:
        """Run these jobs at this trigger from now on."""
        with self._lock:
            self._jobs.update(dict.fromkeys(jobs))
            if isinstance(trigger, EventQueue):
                self._queues.append((trigger, jobs))
                if self._running and len(self._queues) == 1:
                    self._plan(self._clock.monotonic(), self._look_into_queues)
            elif isinstance(trigger, Iterable):
                thread = EventThread(str(jobs[0].declaration), trigger, partial(self._fire, jobs), self._logger)
                self._threads.append((thread, jobs))
                if self._running:
                    thread.start()
            elif self._running:
                for job in jobs:
                    self._begin(job)

    def remove(self, jobs: Sequence[Job]) -> None:
        """Run these jobs no more; what one of them is in the middle of is heard by nobody."""
        with self._lock:
            for job in jobs:
                job.cancelled = True
                self._jobs.pop(job, None)
            self._queues = [each for each in self._queues if not each[1][0].cancelled]
            for thread, _ in (over := [each for each in self._threads if each[1][0].cancelled]):
                thread.stop()
            self._threads = [each for each in self._threads if each not in over]

    def start(self) -> None:
        """Begin to keep the time."""
        with self._lock:
            self._running = True
            self._unpolled = {job for job in self._jobs if isinstance(job.declaration.trigger, Every)}
            if not self._unpolled:
                self._all_polled.set()
            for job in self._jobs:
                if job in self._unpolled:
                    self._begin(job)
            if self._queues:
                self._plan(self._clock.monotonic(), self._look_into_queues)
            for thread, _ in self._threads:
                thread.start()
        self._background.start()

    def wait_until_polled(self, seconds: float) -> None:
        """Wait until all that was there at the start has been polled, well or not; at most so long."""
        self._all_polled.wait(seconds)

    def stop(self) -> None:
        """Start nothing any more, and give what runs a moment to end; what hangs is left behind."""
        with self._lock:
            self._running = False
            self._all_polled.set()
            self._timetable.clear()
            for thread, _ in self._threads:
                thread.stop()
        self._background.stop()
        self._pool.stop(STOP_SECONDS)

    def do_due(self) -> float | None:
        """Do all that is due; return how many seconds there are until the next, None if there is nothing."""
        with self._lock:
            while (action := self._timetable.take(self._clock.monotonic())) is not None:
                try:
                    action()
                except BaseException:
                    # A fault of ours in one job must not be the end of all polls.
                    self._logger.exception("the poller failed, and goes on")
            time = self._timetable.next_time()
            return None if time is None else max(0.001, time - self._clock.monotonic())

    def _turn(self) -> float:
        seconds = self.do_due()
        return _IDLE_SECONDS if seconds is None else seconds

    def _plan(self, time: float, action: Action) -> None:
        if self._timetable.add(time, action):
            self._background.wake()

    def _begin(self, job: Job) -> None:
        """Plan the first poll soon, and the others at the job's own place in the period."""
        period, now = job.declaration.period or 0.0, self._clock.monotonic()
        more = max(0, len(self._jobs) - FIRST_POLLS_TOGETHER)
        first = now + job.place * min(period, more / FIRST_POLLS_A_SECOND)
        job.next_due = now + job.place * period
        if job.next_due < first + _FIRST_OF_PERIOD * period:
            job.next_due += period
        self._plan(first, partial(self._queue_due, job, first))
        self._plan(job.next_due, partial(self._come_round, job))

    def _come_round(self, job: Job) -> None:
        """Poll at the job's place in the period; places that were missed meanwhile are left out."""
        if job.cancelled:
            return
        due, period = job.next_due, job.declaration.period or 0.0
        late = max(0.0, self._clock.monotonic() - due)
        job.next_due = due + period * (1 + math.floor(late / period))
        self._plan(job.next_due, partial(self._come_round, job))
        self._queue_due(job, due)

    def _queue_due(self, job: Job, due: float) -> None:
        if job.state is State.IDLE:
            self._queue(job, due)

    def _queue(self, job: Job, due: float) -> None:
        if job.cancelled or not self._running:
            return
        job.state, job.due = State.QUEUED, due
        self._pool.submit(partial(self._run, job))

    def _fire(self, jobs: Sequence[Job]) -> None:
        """Take note of an event: a run now, or one more after the run that is under way."""
        with self._lock:
            for job in jobs:
                if job.state is State.IDLE:
                    self._queue(job, self._clock.monotonic())
                elif job.state is not State.QUEUED:
                    job.again = True

    def _look_into_queues(self) -> None:
        for events, jobs in list(self._queues):
            try:
                if took_event(events):
                    self._fire(jobs)
            except BaseException as error:
                self._queues.remove((events, jobs))
                self._logger.warning("%s: its queue failed, and it is not run any more", jobs[0], exc_info=error)
        if self._queues:
            self._plan(self._clock.monotonic() + QUEUE_SECONDS, self._look_into_queues)

    def _run(self, job: Job) -> None:
        """Run a job on a thread of the pool."""
        with self._lock:
            if job.cancelled or not self._running:
                job.state = State.IDLE
                return
            now = self._clock.monotonic()
            job.state, job.worker, job.deadline = State.RUNNING, threading.get_ident(), now + job.seconds
            job.run += 1
            self._metrics.began(now - job.due)
            self._plan(job.deadline, partial(self._give_up, job, job.run))
        ctx = RequestContext(deadline=job.deadline, audit_id=f"poll-{job.run}", clock=self._clock, logger=self._logger)
        content: Content | BaseException
        try:
            content = self._work(job, ctx)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a thread of the pool must live on
            content = error
        with self._lock:
            self._end(job, content)

    def _give_up(self, job: Job, run: int) -> None:
        """Count a run that is past its deadline as failed; its thread leaves the pool."""
        if job.run != run or job.state is not State.RUNNING:
            return
        job.state = State.OVERDUE
        self._failed(job, TimeoutError(), f"its function does not return within {job.seconds:g} s")
        self._leave(job, run)

    def _leave(self, job: Job, run: int) -> None:
        if job.run == run and job.state is State.OVERDUE and not self._pool.leave_behind(job.worker):
            # Enough have left already. Until one of them returns, the pool is one thread smaller.
            self._plan(self._clock.monotonic() + LEAVE_AGAIN_SECONDS, partial(self._leave, job, run))

    def _end(self, job: Job, content: Content | BaseException) -> None:
        state, job.state = job.state, State.IDLE
        if job.cancelled or not self._running:
            return
        late = state is State.OVERDUE or self._clock.monotonic() > job.deadline
        if state is State.OVERDUE:
            self._logger.info("%s: its function has returned at last, and may run again", job)
        elif late:
            self._failed(job, TimeoutError(), f"its function does not return within {job.seconds:g} s")
        elif isinstance(content, BaseException):
            self._failed(job, content, explain(content))
            self._retry(job)
        else:
            self._succeeded(job, content)
        if job.again:
            job.again = False
            self._queue(job, self._clock.monotonic())
        elif late and job.declaration.period is None:
            # No next poll comes by itself: what the event told would never be learned.
            self._retry(job)

    def _ended(self, job: Job, *, ok: bool) -> None:
        self._metrics.ended(ok=ok)
        self._unpolled.discard(job)
        if not self._unpolled:
            self._all_polled.set()

    def _succeeded(self, job: Job, content: Content) -> None:
        if job.outcome.failure is not None:
            self._logger.info("%s: its function works again", job)
        job.failures = 0
        job.outcome = Outcome(content, self._clock.now(), self._clock.monotonic())
        self._ended(job, ok=True)

    def _failed(self, job: Job, error: BaseException, reason: str) -> None:
        job.failures += 1
        before = job.outcome.failure
        if before is None or before.reason != reason:
            # Once for each reason: a function that fails at every poll would fill the log.
            told = None if isinstance(error, TimeoutError) else error
            self._logger.warning("%s: %s", job, reason.removesuffix(IN_LOG), exc_info=told)
        since = before.since if before else self._clock.now()
        job.outcome = dataclasses.replace(job.outcome, failure=Failure(since, reason))
        self._ended(job, ok=False)

    def _retry(self, job: Job) -> None:
        """Run it again soon, unless its next poll comes before that."""
        period = job.declaration.period
        least = _RETRY_SECONDS if period is None else min(_RETRY_SECONDS, period / 8)
        due = self._clock.monotonic() + Backoff(least, _MOST_RETRY_SECONDS).seconds(job.failures)
        if period is None or due < job.next_due:
            self._plan(due, partial(self._queue_again, job, job.run, due))

    def _queue_again(self, job: Job, run: int, due: float) -> None:
        if job.run == run:
            self._queue_due(job, due)
