"""A pool that runs what was submitted when the test says so, and a poller with its jobs at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metrics_apiserver.provider import RequestContext
from metrics_apiserver.provider.functions import NAMESPACE_ALL, Metrics, Trigger
from metrics_apiserver.testing import FakeClock, provider_context
from metrics_apiserver_providers.functions.jobs import Job
from metrics_apiserver_providers.functions.poller import Poller
from metrics_apiserver_providers.functions.samples import Content, Sample, external_sample
from metrics_apiserver_providers.functions.telemetry import PollMetrics

__all__ = ["HandPool", "Polling", "value"]


class HandPool:
    """Runs tasks on the test's own thread, one after the other."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], None]] = []
        self.left: list[int] = []
        self.most_strays = 32
        self.stopped = False

    @property
    def strays(self) -> int:
        return len(self.left)

    def submit(self, task: Callable[[], None]) -> None:
        self.tasks.append(task)

    def leave_behind(self, worker: int) -> bool:
        if len(self.left) >= self.most_strays:
            return False
        self.left.append(worker)
        return True

    def stop(self, seconds: float) -> None:
        self.stopped = True

    def run(self) -> int:
        """Run all that is there and comes meanwhile; tells how many runs that were."""
        count = 0
        while self.tasks:
            self.tasks.pop(0)()
            count += 1
        return count


class Polling:
    """A started poller on a clock that the test moves; every job calls `function`, which the test may replace."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.context = provider_context(clock=self.clock)
        self.pool = HandPool()
        self.function: Callable[[RequestContext], Any] = lambda _ctx: 1
        self.deadlines: list[float] = []
        self.poller = Poller(
            self._work,
            clock=self.clock,
            logger=self.context.logger,
            metrics=PollMetrics(self.context.metrics_registry, "test"),
            pool=self.pool,  # type: ignore[arg-type]  # it is used like one
        )

    def _work(self, job: Job, ctx: RequestContext) -> Content:
        self.deadlines.append(ctx.remaining())
        return external_sample(self.function(ctx), self.clock.now())

    def add(self, trigger: Trigger, name: str = "depth", *, max_age: float | None = None) -> Job:
        """Add one job."""
        registration = Metrics().add_metric(NAMESPACE_ALL, name, trigger, lambda: 1, max_age=max_age)
        job = Job(registration.declaration, NAMESPACE_ALL)
        self.poller.add(trigger, [job])
        return job

    def pass_time(self, seconds: float, step: float = 0.05) -> int:
        """Let time pass in small steps, and run what comes due; tells how many runs that were."""
        runs, until = 0, self.clock.monotonic() + seconds
        while self.clock.monotonic() < until - 1e-9:
            self.clock.move(min(step, until - self.clock.monotonic()))
            self.poller.do_due()
            runs += self.pool.run()
        return runs

    def sample(self, name: str, labels: dict[str, str] | None = None) -> float:
        """Read one of the poller's own metrics."""
        found = self.context.metrics_registry.get_sample_value(name, {"provider": "test", **(labels or {})})
        assert found is not None, name
        return found


def value(polling: Polling, job: Job) -> str:
    """Read the base value of a job."""
    content = job.content(polling.clock)
    assert isinstance(content, Sample)
    return str(content.base)
