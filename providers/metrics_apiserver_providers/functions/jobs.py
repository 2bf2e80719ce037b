"""One function that runs by itself: how far it is, what it gave last, and why there is no value if there is none."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from metrics_apiserver.provider import Clock, MetricUnavailableError, NotFoundError, StatusError
from metrics_apiserver.provider.functions import NAMESPACE_ALL, Declaration
from metrics_apiserver_providers.functions.samples import Content, ResultError

__all__ = ["IN_LOG", "Failure", "Job", "Outcome", "State", "explain"]

# For clients: the log itself has the exception beside the line.
IN_LOG = " (the log says more)"
# The deadline of a run that has no period.
EVENT_SECONDS = 30.0


class State(Enum):
    """How far a job is; it is started in no state but IDLE, and so never overlaps itself.

    ```
    IDLE ──due, or an event──► QUEUED ──a thread is free──► RUNNING ──returned or raised──► IDLE
                                                               │
                                                               └deadline─► OVERDUE ──came back at last──► IDLE
    ```

    An event that comes in the last two states is one more run after this one; a failure plans the next one.
    """

    IDLE = "idle"
    QUEUED = "queued"
    RUNNING = "running"
    OVERDUE = "overdue"
    """Past its deadline: the run has failed, and its function has not returned yet."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no newer value, and since when."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a job's runs; replaced as a whole, so that readers need no lock."""

    content: Content | None = None
    # When the last good run ended: the time of day, and that of the clock that never jumps.
    at: datetime | None = None
    at_seconds: float = 0.0
    failure: Failure | None = None


_NOTHING = Outcome()


class Job:
    """A declared metric in one of its namespaces. The poller's lock guards it, but for `outcome`."""

    __slots__ = (
        "again", "cancelled", "deadline", "declaration", "due", "failures", "namespace", "next_due", "outcome", "run",
        "state", "worker",
    )  # fmt: skip

    def __init__(self, declaration: Declaration, namespace: str) -> None:
        self.declaration = declaration
        self.namespace = namespace
        self.state = State.IDLE
        # Whether an event came during a run.
        self.again = False
        self.cancelled = False
        # How many runs there were; what was planned for an earlier one is void.
        self.run = 0
        # How many of the last runs failed in a row.
        self.failures = 0
        # All in monotonic seconds: when this run should begin, when the next one should, when this one has to be over.
        self.due = self.next_due = self.deadline = 0.0
        # The ident of the thread that runs it.
        self.worker = 0
        self.outcome = _NOTHING

    @property
    def seconds(self) -> float:
        """How long a run may take: half a period."""
        period = self.declaration.period
        return EVENT_SECONDS if period is None else period / 2

    @property
    def place(self) -> float:
        """Where in a period its polls are, from 0 to 1: by its name, so that it stays."""
        text = f"{self.declaration} {self.namespace}"
        return zlib.crc32(text.encode()) / 2**32

    def content(self, clock: Clock) -> Content:
        """Return the last good content.

        Raises MetricUnavailableError where there is none, or it is too old, because of failures; NotFoundError where
        it is too old without one.
        """
        outcome = self.outcome
        max_age = self.declaration.max_age
        if outcome.content is None:
            raise MetricUnavailableError(self._never(outcome.failure))
        if max_age is None or clock.monotonic() - outcome.at_seconds <= max_age:
            return outcome.content
        old = f"the last value of {self} is from {_written(outcome.at)}, and is served for {max_age:g} s"
        if outcome.failure is None:
            raise NotFoundError(f"{old}: there is no newer one")
        raise MetricUnavailableError(f"{old}; since {_written(outcome.failure.since)} {outcome.failure.reason}")

    def _never(self, failure: Failure | None) -> str:
        if failure is not None:
            return f"{self} has no value yet: since {_written(failure.since)} {failure.reason}"
        if self.declaration.period is None:
            return f"{self} has no value yet: there was no event"
        return f"{self} has no value yet: it has not been polled"

    def __str__(self) -> str:
        where = "" if self.namespace == NAMESPACE_ALL else f" of the namespace {self.namespace}"
        return f"{self.declaration}{where}"


def explain(error: BaseException) -> str:
    """Return why a run failed, for clients: what an author's exception says may be a secret, and stays in the log."""
    if isinstance(error, (StatusError, ResultError)):
        return str(error)
    return f"its function fails with {type(error).__name__}{IN_LOG}"


def _written(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time else "an unknown time"
