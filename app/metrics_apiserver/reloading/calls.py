"""Calls of a provider's own code: each on a thread of its own, waited for so long, and known while it hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from metrics_apiserver.concurrency import HangsError, TimedCall
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.settings.durations import Duration

__all__ = ["Call", "Calls", "HangingError", "Subject"]

# Of calls of what was to be new, each of which keeps a thread and what was built.
MOST_HANGING = 8


class HangingError(ProviderError):
    """A call has not come back in time, or is not made because an equal one has not."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is called: the instance's name, how a sentence on a failure begins, and what makes it the same again.

    Without a key it hinders no other.
    """

    name: str
    failure: str
    key: Any = None


@dataclass(eq=False, slots=True)
class Call:
    """A call that was begun."""

    what: str
    subject: Subject
    since: datetime
    timed: TimedCall[Any] = field(init=False)


class Calls:
    """Makes the calls. One that hangs cannot be ended: it is counted, and not made a second time meanwhile."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hanging: list[Call] = []

    def hanging(self) -> list[tuple[str, str]]:
        """Name the instance and the call of each that hangs."""
        with self._lock:
            return [(call.subject.name, call.what) for call in self._hanging]

    def refuse_repeated(self, subject: Subject) -> None:
        """Raise HangingError where a call for the same subject hangs, or too many for others do."""
        with self._lock:
            hanging = [call for call in self._hanging if call.subject.key is not None]
        for call in hanging:
            if call.subject.key == subject.key:
                raise HangingError(
                    f"{subject.failure}: its {call.what} of {call.since:%Y-%m-%dT%H:%M:%SZ} hangs, and it is not tried"
                    " again before that has come back"
                )
        if len(hanging) >= MOST_HANGING:
            raise HangingError(f"{subject.failure}: {len(hanging)} others hang, and nothing is begun beside them")

    def run(
        self,
        what: str,
        subject: Subject,
        function: Callable[[], Any],
        seconds: float,
        *,
        late: Callable[[list[Any]], object] = lambda _result: None,
    ) -> Any:
        """Call a function, and wait for it: `begin` and `wait`. Raises HangingError also as `refuse_repeated` does."""
        self.refuse_repeated(subject)
        return self.wait(self.begin(what, subject, function, late=late), seconds)

    def begin(
        self,
        what: str,
        subject: Subject,
        function: Callable[[], Any],
        *,
        late: Callable[[list[Any]], object] = lambda _result: None,
    ) -> Call:
        """Begin to call a function.

        When it comes back after nobody waits any more, `late` is called with its result, of which there is none where
        it raised. Raises ProviderError where there is no thread left.
        """
        call = Call(what, subject, self._clock.now())
        try:
            call.timed = TimedCall(
                function,
                f"{what}-{subject.name}",
                given_up=partial(self._given_up, call),
                late=partial(self._came_back, call, late),
            )
        except RuntimeError as error:
            raise ProviderError(f"{subject.failure}: there is no thread left for its {what}") from error
        return call

    def wait(self, call: Call, seconds: float) -> Any:
        """Return what the function gives, and raise what it raises; HangingError where that takes longer."""
        failure = call.subject.failure
        try:
            return call.timed.wait(seconds)
        except HangsError:
            raise HangingError(f"{failure}: its {call.what} takes longer than {Duration(seconds)}") from None
        except Exception:
            raise
        # SystemExit would end the thread that waits, without a word: nobody would follow the file any more.
        except BaseException as error:
            raise ProviderError(f"{failure}: its {call.what} raised {type(error).__name__}") from error

    def _given_up(self, call: Call) -> None:
        with self._lock:
            self._hanging.append(call)

    def _came_back(self, call: Call, late: Callable[[list[Any]], object], result: list[Any]) -> None:
        try:
            late(result)
        finally:
            with self._lock:
                self._hanging.remove(call)
