"""The trace of a read: what happened on its way, step by step.

Nothing of a read is counted, logged or kept while it is under way. Its steps are, once, when it is answered. Those of
an attempt that would have to wait are thrown away: it is made again on a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from metrics_apiserver.apis.api import Read
from metrics_apiserver.errors import WouldWaitError
from metrics_apiserver.provider import UserInfo
from metrics_apiserver.telemetry import ProviderFigures

__all__ = ["Called", "Hit", "Joined", "Kept", "Passed", "Request", "Served", "Settled", "Step", "Trace"]

# A read that may not wait holds each label set of its series against each requirement of its selector at most so often
# in all, which takes about a millisecond.
_MOST_MATCHES = 500


class Request(NamedTuple):
    """What a read has in common with no other."""

    deadline: float
    """In the clock's monotonic time."""
    audit_id: str
    user: UserInfo | None = None
    may_wait: bool = True


class Hit(NamedTuple):
    """The answer came from a provider's cache."""

    provider: str
    figures: ProviderFigures

    def book(self) -> None:
        """Count it."""
        self.figures.hit()


class Joined(NamedTuple):
    """The read shares the call of an equal one."""

    provider: str
    figures: ProviderFigures

    def book(self) -> None:
        """Count it."""
        self.figures.joined()


class Called(NamedTuple):
    """The provider was called."""

    provider: str
    figures: ProviderFigures
    seconds: float
    duplicates: int
    """How many values were left out of its answer, because they were there twice."""
    warn: Callable[[], None] | None = None
    """Warns of duplicates, where that is due."""

    def book(self) -> None:
        """Count it."""
        self.figures.called(self.seconds)
        if self.warn is not None:
            self.figures.dropped(self.duplicates)
            self.warn()


class Kept(NamedTuple):
    """The answer is one that is kept, for later reads."""

    keep: Callable[[], None]

    def book(self) -> None:
        """Keep it."""
        self.keep()


class Served(NamedTuple):
    """A provider's values are the answer."""

    provider: str
    figures: ProviderFigures
    age: float | None
    """Of the oldest sample, in seconds; None where nobody knows it."""

    def book(self) -> None:
        """Count it."""
        self.figures.served(self.age)


class Passed(NamedTuple):
    """A provider has nothing, or failed; `failure` is the reason of the latter."""

    provider: str
    figures: ProviderFigures
    failure: str

    def book(self) -> None:
        """Count a failure; that nothing is there counts where nobody else has it."""
        if self.failure:
            self.figures.failed(self.failure)


class Settled(NamedTuple):
    """What became of a read that no provider answered: `result` is empty, substituted, failed, or refused."""

    provider: str
    figures: ProviderFigures | None
    result: str
    reason: str
    message: str
    empty: bool
    """Whether there was nothing, and not a failure."""

    def book(self) -> None:
        """Count it."""
        if self.figures is None:
            return
        if self.empty:
            self.figures.empty(self.reason)
        if self.result == "substituted":
            self.figures.substitute("empty" if self.empty else "error")


Step = Hit | Joined | Called | Kept | Served | Passed | Settled


class Trace:
    """The steps of one read, in their order."""

    __slots__ = ("_left", "api", "read", "request", "steps")

    def __init__(self, read: Read, request: Request) -> None:
        self.read = read
        # The name of its API, which is asked for often.
        self.api = read.api.name
        self.request = request
        self.steps: list[Step] = []
        self._left = _MOST_MATCHES

    def may_take(self, series: int | None) -> None:
        """Go on where so many series can be looked at. None: nobody knows how many.

        Raises WouldWaitError where there is no time for that.
        """
        if self.request.may_wait:
            return
        if series is None:
            raise WouldWaitError
        self._left -= max(series, 1) * (1 + len(self.read.metric_selector.requirements))
        if self._left < 0:
            raise WouldWaitError

    def may_wait(self) -> None:
        """Go on where the read may wait. Raises WouldWaitError where it may not."""
        if not self.request.may_wait:
            raise WouldWaitError
