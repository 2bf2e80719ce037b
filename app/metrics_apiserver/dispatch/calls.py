"""Calls of a provider on its own threads: one for all who read the same, in a slot, unless the breaker refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from functools import partial

from metrics_apiserver.apis.api import shown_sentence
from metrics_apiserver.concurrency import Bulkhead, Flights
from metrics_apiserver.dispatch.asking import Asking
from metrics_apiserver.dispatch.breaker import Breaker, Failure, Permit
from metrics_apiserver.dispatch.caller import Caller
from metrics_apiserver.dispatch.outcomes import Failed, FailureReason, Fault, Outcome
from metrics_apiserver.dispatch.shares import Shares
from metrics_apiserver.dispatch.trace import Called, Joined
from metrics_apiserver.errors import BackendUnavailableError, GatewayTimeoutError, ServiceUnavailableError
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.telemetry import ProviderFigures

__all__ = ["Call", "Calls", "busy"]

# The client's mistake, or one metric's trouble: the provider is well.
_NO_FAILURES = (FailureReason.REFUSED, FailureReason.NO_VALUE)


class Call:
    """One call of a provider, for everybody who waits for it."""

    __slots__ = ("_accounted", "_done", "_outcome", "deadline", "permit")

    def __init__(self, deadline: float) -> None:
        """Begin a call; `deadline` is that of the read that starts it."""
        self.deadline = deadline
        # The breaker's; None where it refused.
        self.permit: Permit | None = None
        self._accounted = threading.Lock()
        self._done = threading.Event()
        self._outcome: Outcome | None = None

    def wait(self, seconds: float) -> Outcome | None:
        """Wait for its outcome; None where it is not there in time."""
        # Not by the event's answer: it may come between the end of the wait and this line.
        self._done.wait(max(0.0, seconds))
        return self._outcome

    def claim(self) -> bool:
        """Return True to the first who asks: a call that came too late is accounted for once, as too late."""
        return self._accounted.acquire(blocking=False)

    def set(self, outcome: Outcome) -> None:
        """Let everybody go who waits."""
        self._outcome = outcome
        self._done.set()


class Calls:
    """The calls of one provider that are under way; `keep` is told what came of each, also too late."""

    def __init__(
        self,
        name: str,
        caller: Caller,
        breaker: Breaker,
        bulkhead: Bulkhead,
        *,
        clock: Clock,
        keep: Callable[[Outcome, Asking], None],
    ) -> None:
        self._name = name
        self._caller = caller
        self._breaker = breaker
        self._bulkhead = bulkhead
        self._clock = clock
        self._keep = keep
        self._flights = Flights[Hashable, Call]()
        self._slots = Shares()

    def wait(self, asking: Asking, figures: ProviderFigures) -> Outcome:
        """Wait for an equal call under way, or for a new one, until the deadline."""
        now, deadline = self._clock.monotonic(), asking.context.deadline
        call, new = self._flights.join(asking.key, partial(Call, deadline), open_=lambda joined: joined.deadline > now)
        if new:
            self._begin(call, asking)
        else:
            asking.trace.steps.append(Joined(self._name, figures))
        outcome = call.wait(deadline - now)
        if outcome is not None:
            return outcome
        sentence = f"provider {self._name} has not answered within {round(deadline - now, 3):g} s for {asking.read}"
        if new:
            self._flights.end(asking.key, call)
            if call.permit is not None and call.claim():
                self._breaker.account(call.permit, Failure(shown_sentence(sentence, asking.read)))
        return Failed(FailureReason.TIMEOUT, Fault.of(GatewayTimeoutError(sentence)))

    def _begin(self, call: Call, asking: Asking) -> None:
        """Start a call, or end it at once where the breaker refuses or there is no slot for it."""
        subject = asking.subject
        permit = self._breaker.admit(subject)
        if isinstance(permit, str):
            self._end(call, asking, Failed(FailureReason.DOWN, Fault.of(ServiceUnavailableError(permit))))
            return
        call.permit = permit

        def work() -> tuple[Outcome, Called]:
            try:
                return self._caller.call(asking.read, asking.context)
            finally:
                self._slots.leave(subject)

        def ended(result: tuple[Outcome, Called]) -> None:
            outcome, called = result
            # Here, and not with a read: the one that began it may be over by now.
            called.book()
            if call.claim():
                self._breaker.account(permit, _failure(outcome, asking))
            # A late answer is good for the next read all the same.
            self._keep(outcome, asking)
            self._end(call, asking, outcome)

        if not self._slots.enter(subject, self._bulkhead.size):
            self._breaker.give_back(permit)
            held = self._slots.held(subject)
            what = f"{held} calls of it are under way" + (f" for {subject}" if held < self._bulkhead.size else "")
            self._end(call, asking, busy(self._name, what))
        elif not self._bulkhead.run(work, ended):
            self._slots.leave(subject)
            self._breaker.give_back(permit)
            self._end(call, asking, busy(self._name, f"{self._bulkhead.size} calls of it are under way"))

    def _end(self, call: Call, asking: Asking, outcome: Outcome) -> None:
        """Hand the outcome to everybody who waits; nobody joins any more."""
        self._flights.end(asking.key, call)
        call.set(outcome)


def busy(provider: str, why: str) -> Failed:
    """Return what becomes of a read for which there is no place."""
    return Failed(FailureReason.BUSY, Fault.of(ServiceUnavailableError(f"provider {provider} is busy: {why}")))


def _failure(outcome: Outcome, asking: Asking) -> Failure | None:
    """Return a failure that is the provider's own; None for all else."""
    if not isinstance(outcome, Failed) or outcome.reason in _NO_FAILURES:
        return None
    backend = issubclass(outcome.fault.kind, BackendUnavailableError)
    return Failure(shown_sentence(outcome.fault.message, asking.read), backend)
