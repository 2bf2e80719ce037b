"""A provider as it is asked: from the cache, together with equal reads, within its slots and until the deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from datetime import timedelta
from functools import partial

from metrics_apiserver.budget import SharedRoom
from metrics_apiserver.dispatch.breaker import Admission, Breaker
from metrics_apiserver.dispatch.bulkhead import Bulkhead, provider_room
from metrics_apiserver.dispatch.caller import Caller
from metrics_apiserver.dispatch.flight import Call, Flights
from metrics_apiserver.dispatch.matching import Matcher
from metrics_apiserver.dispatch.outcomes import Answer, Failed, FailureReason, MissingReason, Nothing, Outcome
from metrics_apiserver.dispatch.policies import Policies
from metrics_apiserver.dispatch.reads import (
    CUSTOM,
    EXTERNAL,
    NameRead,
    Read,
    Request,
    Values,
    characters,
    shown_sentence,
)
from metrics_apiserver.dispatch.store import AnswerStore
from metrics_apiserver.errors import GatewayTimeoutError, ServiceUnavailableError
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.model.selectors import EVERYTHING
from metrics_apiserver.provider import (
    CustomMetricsProvider,
    ExternalMetricsProvider,
    Provider,
    RequestContext,
    UserInfo,
)
from metrics_apiserver.settings import PolicySettings, ProviderSettings, Substitute
from metrics_apiserver.settings.durations import Duration
from metrics_apiserver.telemetry import ProviderFigures, ProviderLoad, ProviderMetrics

__all__ = ["Instance"]

# Series of which all are read to say that the selector leaves out all of them.
_MOST_EXPLAINED = 1000
# The client's mistake, or one metric's trouble: the provider is well.
_NO_FAILURES = (FailureReason.REFUSED, FailureReason.NO_VALUE)


class Instance:
    """One configured provider, and what the server guarantees for it."""

    def __init__(
        self,
        settings: ProviderSettings,
        provider: Provider,
        *,
        telemetry: ProviderMetrics,
        clock: Clock,
        logger: logging.Logger,
        waiting: SharedRoom | None = None,
        trusted: bool = False,
    ) -> None:
        """Make it; no thread is started. `waiting` is where the server's threads wait for all instances together.

        `trusted`: it is believed that it answers from memory, so far that nothing else goes on meanwhile.
        """
        self.settings = settings
        self.provider = provider
        self.name = settings.name
        apis = ((CUSTOM, CustomMetricsProvider), (EXTERNAL, ExternalMetricsProvider))
        self.figures = {api: telemetry.figures(self.name, api) for api, kind in apis if isinstance(provider, kind)}
        self._trusted = trusted
        self._telemetry = telemetry
        self._clock = clock
        self._logger = logger
        self._matcher = Matcher(settings.match)
        self._policies = Policies(settings.policy, settings.metrics)
        self._caller = Caller(self.name, provider, figures=self.figures, clock=clock, logger=logger)
        self._cache = AnswerStore(clock.monotonic)
        self._last = AnswerStore(clock.monotonic)
        self._flights = Flights()
        self._breaker = Breaker(self.name, settings.breaker, clock=clock, logger=logger)
        self._bulkhead = Bulkhead(self.name, settings.concurrency)
        self._waiting = waiting or provider_room()
        telemetry.watch(self.name, self.load)

    def load(self) -> ProviderLoad:
        """Say how loaded the provider is."""
        bulkhead = self._bulkhead
        return ProviderLoad(bulkhead.size, bulkhead.in_use, self._waiting.held(self), self._breaker.state)

    def close(self) -> None:
        """Let the threads end that have nothing to do; calls under way are left to themselves."""
        self._bulkhead.close()
        self._telemetry.forget(self.name, self.load)

    @property
    def waits(self) -> bool:
        """Whether one of the server's threads may have to wait for it: what others than we say of it is not enough."""
        return not (self._trusted and self.provider.answers_from_memory)

    def series_at_once(self, read: Read) -> int | None:
        """Return how many series a read looks at, at the most; None where it may wait, or nobody knows.

        Kept answers are counted too, as one of them may be given in place of the provider's.
        """
        if self.waits or self.provider.per_user:
            return None
        series = self.provider.series_count(read.info, read.namespace)
        if series is None:
            return None
        policy = self.policy(read)
        if policy.cache <= 0 and not _last_seconds(policy):
            return max(series, 1)
        kept = (store.get(read) for store in (self._cache, self._last))
        return max(series, *(len(each.values) for each in kept if isinstance(each, Answer)), 1)

    def asked_for(self, read: Read) -> bool:
        """Tell whether this instance is asked for such a read."""
        return not self.settings.match or read.fits(self._matcher)

    def policy(self, read: Read) -> PolicySettings:
        """Give the policy of a read."""
        return self._policies.find(read.info.metric)

    def read(self, read: Read, request: Request) -> Values:
        """Give the values that the provider has, one at least. Raises Nothing and Failed."""
        policy = self._policies.find(read.info.metric)
        figures = self.figures[read.api]
        user = request.user if self.provider.per_user else None
        key = read if user is None else (read, _user_key(user))
        if policy.cache > 0:
            kept = self._cache.get(key)
            if kept is not None:
                figures.hit()
                return self._served(kept, read, policy, figures)
        outcome = self._ask(read, self._context(request, policy, user), policy, key)
        return self._served(outcome, read, policy, figures)

    def write(self, metric: str, work: Callable[[], None], *, seconds: float) -> None:
        """Run what writes a value of this metric, and wait for it so long at the most.

        Raises StatusError, and what `work` raises.
        """
        if not self.waits:
            work()
        elif not self._waiting.enter(self):
            raise self._full().error
        else:
            try:
                self._write(work, min(seconds, self._policies.find(metric).timeout))
            finally:
                self._waiting.leave(self)

    def last(self, read: Read, request: Request, seconds: float) -> Values:
        """Give the last values of an equal read, unless they were given longer ago than this; else nothing."""
        user = request.user if self.provider.per_user else None
        kept = self._last.get(read if user is None else (read, _user_key(user)))
        if isinstance(kept, Answer) and kept.at >= self._clock.monotonic() - seconds:
            return kept.values
        return ()

    def filtered_out(self, read: Read, request: Request) -> bool:
        """Return whether there are values, but none for the read's selector of series; where that costs little.

        A provider that does not answer from memory, or has very many series, is not asked again.
        """
        if not self.provider.answers_from_memory or isinstance(read, NameRead) or read.metric_selector.empty:
            return False
        if (self.provider.series_count(read.info, read.namespace) or 0) > _MOST_EXPLAINED:
            return False
        user = request.user if self.provider.per_user else None
        context = self._context(request, self.policy(read), user)
        wider = self._call(read._replace(metric_selector=EVERYTHING), context)
        return isinstance(wider, Answer) and bool(wider.values)

    def _context(self, request: Request, policy: PolicySettings, user: UserInfo | None) -> RequestContext:
        deadline = min(request.deadline, self._clock.monotonic() + policy.timeout)
        return RequestContext(deadline, request.audit_id, self._clock, self._logger, user)

    def _ask(self, read: Read, context: RequestContext, policy: PolicySettings, key: Hashable) -> Outcome:
        """Ask on this thread what answers from memory, and anything else on one of the provider's."""
        if self.provider.answers_from_memory:
            outcome = self._call(read, context)
            self._keep(outcome, read, policy, key)
            return outcome
        if not self._waiting.enter(self):
            return self._full()
        try:
            return self._wait(read, context, policy, key)
        finally:
            self._waiting.leave(self)

    def _call(self, read: Read, context: RequestContext) -> Outcome:
        """Call on this thread; it is counted as waiting where only the provider says that it will not."""
        if not self.waits:
            return self._caller.call(read, context)
        if not self._waiting.enter(self):
            return self._full()
        try:
            return self._caller.call(read, context)
        finally:
            self._waiting.leave(self)

    def _write(self, work: Callable[[], None], seconds: float) -> None:
        """Run it on one of the provider's threads, where it goes on if it is late."""
        written: Future[None] = Future()

        def run() -> Callable[[], None]:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                return partial(written.set_exception, error)
            return partial(written.set_result, None)

        if not self._bulkhead.run(run, lambda tell: tell()):
            raise self._busy(f"{self._bulkhead.size} calls of it are under way").error
        try:
            written.result(seconds)
        except TimeoutError as error:
            # It came in this moment, or the provider raised that itself.
            if written.done():
                return written.result()
            sentence = f"provider {self.name} has not taken the value within {round(seconds, 3):g} s"
            raise GatewayTimeoutError(f"{sentence}; it may still do so") from error

    def _wait(self, read: Read, context: RequestContext, policy: PolicySettings, key: Hashable) -> Outcome:
        """Wait for an equal call under way, or for a new one, until the deadline."""
        now = self._clock.monotonic()
        call, new = self._flights.join(key, now=now, deadline=context.deadline)
        if new:
            self._begin(call, read, context, policy, key)
        else:
            self.figures[read.api].joined()
        outcome = call.wait(context.deadline - now)
        if outcome is not None:
            return outcome
        sentence = f"provider {self.name} has not answered within {round(context.deadline - now, 3):g} s"
        if new:
            self._flights.forget(key, call)
            if call.claim():
                self._breaker.account(sentence, trial=call.trial)
        return Failed(FailureReason.TIMEOUT, GatewayTimeoutError(sentence))

    def _begin(self, call: Call, read: Read, context: RequestContext, policy: PolicySettings, key: Hashable) -> None:
        """Start a call, or end it at once where the provider is down or all its slots are in use."""

        def ended(outcome: Outcome) -> None:
            if call.claim():
                self._breaker.account(shown_sentence(_failure(outcome), read), trial=call.trial)
            # A late answer is good for the next read all the same.
            self._keep(outcome, read, policy, key)
            self._flights.end(key, call, outcome)

        admission = self._breaker.admit()
        if admission is Admission.REFUSED:
            down = Failed(FailureReason.DOWN, ServiceUnavailableError(self._breaker.sentence))
            self._flights.end(key, call, down)
            return
        call.trial = admission is Admission.TRIAL
        if not self._bulkhead.run(partial(self._caller.call, read, context), ended):
            self._breaker.give_back(trial=call.trial)
            self._flights.end(key, call, self._busy(f"{self._bulkhead.size} calls of it are under way"))

    def _full(self) -> Failed:
        held = self._waiting.held(self)
        return self._busy(f"{held} reads are waiting for it already" if held else "too many wait for other providers")

    def _busy(self, why: str) -> Failed:
        return Failed(FailureReason.BUSY, ServiceUnavailableError(f"provider {self.name} is busy: {why}"))

    def _keep(self, outcome: Outcome, read: Read, policy: PolicySettings, key: Hashable) -> None:
        """Keep what the policy has a use for."""
        if isinstance(outcome, Failed):
            return
        seconds = _last_seconds(policy)
        if policy.cache <= 0 and not seconds:
            return
        length = characters(read)
        if policy.cache > 0:
            kept = outcome.without_frames() if isinstance(outcome, Nothing) else outcome
            self._cache.put(key, kept, policy.cache, characters=length)
        if seconds and isinstance(outcome, Answer):
            good = self._fresh(outcome, read, policy)
            if isinstance(good, Answer):
                self._last.put(key, good, seconds, characters=length)

    def _served(self, outcome: Outcome, read: Read, policy: PolicySettings, figures: ProviderFigures) -> Values:
        if isinstance(outcome, Answer):
            outcome = self._fresh(outcome, read, policy)
        if isinstance(outcome, Answer):
            assert outcome.oldest is not None
            figures.served((self._clock.now() - outcome.oldest).total_seconds())
            return outcome.values
        if isinstance(outcome, Failed):
            figures.failed(outcome.reason)
        # It may have been raised for others already.
        raise outcome.with_traceback(None)

    def _fresh(self, answer: Answer, read: Read, policy: PolicySettings) -> Answer | Nothing:
        """Leave out the samples that are too old."""
        if answer.oldest is None:
            return Nothing(MissingReason.NO_SAMPLE, f"provider {self.name} has no sample of {read}")
        if policy.max_age is None:
            return answer
        now = self._clock.now()
        limit = now - timedelta(seconds=policy.max_age)
        if answer.oldest >= limit:
            return answer
        values = tuple(value for value in answer.values if value.timestamp >= limit)
        if values:
            return Answer(values, min(value.timestamp for value in values), answer.at)
        age = Duration(round((now - max(value.timestamp for value in answer.values)).total_seconds()))
        return Nothing(
            MissingReason.TOO_OLD,
            f"provider {self.name} has only old samples of {read}: the newest is {age} old,"
            f" and at most {Duration(policy.max_age)} is allowed",
        )


def _failure(outcome: Outcome) -> str:
    """Give the sentence of a failure that is the provider's own, "" for all else."""
    return outcome.error.message if isinstance(outcome, Failed) and outcome.reason not in _NO_FAILURES else ""


def _last_seconds(policy: PolicySettings) -> float:
    """Return for how long the last answer of a read is kept; 0 where it never stands in for another."""
    substitutes = (policy.on_empty, policy.on_error)
    return max(each.seconds if each.kind is Substitute.LAST else 0.0 for each in substitutes)


def _user_key(user: UserInfo) -> Hashable:
    return user.name, user.uid, user.groups, tuple(sorted((key, tuple(values)) for key, values in user.extra.items()))
