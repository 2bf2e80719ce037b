"""A provider as it is asked: from the cache, together with equal reads, within its slots and until the deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from metrics_apiserver.apis.api import Info, Read, Values
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.apis.table import APIS
from metrics_apiserver.concurrency import Bulkhead, SharedRoom
from metrics_apiserver.concurrency.budget import provider_room
from metrics_apiserver.dispatch.asking import Asking
from metrics_apiserver.dispatch.breaker import Breaker
from metrics_apiserver.dispatch.caller import Caller
from metrics_apiserver.dispatch.calls import Calls, busy
from metrics_apiserver.dispatch.fallback import Fallback, fallback
from metrics_apiserver.dispatch.freshness import Freshness
from metrics_apiserver.dispatch.keeping import Keeper, keeps
from metrics_apiserver.dispatch.matching import Matcher
from metrics_apiserver.dispatch.outcomes import Answer, Failed, Missing, MissingReason, Outcome
from metrics_apiserver.dispatch.policies import Policies
from metrics_apiserver.dispatch.shares import Shares
from metrics_apiserver.dispatch.spelling import Spellings
from metrics_apiserver.dispatch.subject import Subject
from metrics_apiserver.dispatch.trace import Hit, Kept, Passed, Request, Served, Settled, Trace
from metrics_apiserver.dispatch.writing import write
from metrics_apiserver.errors import StatusError
from metrics_apiserver.model.clock import Clock, age_seconds
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.provider import Provider, RequestContext, UserInfo
from metrics_apiserver.settings import PolicySettings, ProviderSettings, Substitute, SubstituteSettings
from metrics_apiserver.telemetry import ProviderLoad, ProviderMetrics

__all__ = ["Instance"]

# Series of which all are read to say that the selector leaves out all of them.
_MOST_EXPLAINED = 1000
_ZERO = Quantity(0)

# Makes values of a quantity for whatever a read is about.
Make = Callable[[Quantity], Values]


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
        """Ask `provider` as `settings` say; no thread is started.

        `waiting` is where the server's threads wait for all instances together. `trusted`: it is believed that the
        provider answers from memory, so far that nothing else goes on meanwhile.
        """
        self.settings = settings
        self.provider = provider
        self.name = settings.name
        self.figures = {
            api.name: telemetry.figures(self.name, api.name) for api in APIS if isinstance(provider, api.interface)
        }
        self._trusted = trusted
        self._telemetry = telemetry
        self._clock = clock
        self._logger = logger
        self._matcher = Matcher(settings.match)
        self._spellings = Spellings(self.name, logger)
        self._policies = Policies(settings.policy, settings.metrics)
        self._caller = Caller(self.name, provider, figures=self.figures, clock=clock, logger=logger)
        self._freshness = Freshness(self.name, monotonic=clock.monotonic, logger=logger)
        self._keeper = Keeper(self._freshness, clock)
        self._breaker = Breaker(self.name, settings.breaker, clock=clock, logger=logger)
        self._bulkhead = Bulkhead(f"provider-{self.name}", settings.concurrency)
        self._calls = Calls(self.name, self._caller, self._breaker, self._bulkhead, clock=clock, keep=self._keep)
        self._waiting = waiting or provider_room()
        self._waiters = Shares()
        telemetry.watch(self.name, self.load)

    def load(self) -> ProviderLoad:
        """Return how loaded the provider is."""
        bulkhead = self._bulkhead
        breaker = self._breaker
        return ProviderLoad(
            bulkhead.size, bulkhead.in_use, self._waiting.held(self), breaker.state, breaker.refused_metrics
        )

    def close(self) -> None:
        """Let the threads end that have nothing to do; calls under way are left to themselves."""
        self._bulkhead.close()
        self._telemetry.forget(self.name, self.load)

    @property
    def takes_threads(self) -> bool:
        """Whether one of the server's threads may have to wait for it: a provider's own word is not enough."""
        return not (self._trusted and self.provider.answers_from_memory)

    def is_asked(self, read: Read) -> bool:
        """Return whether this instance is asked for such a read."""
        return not self.settings.match or self._matcher.fits(read)

    def lists(self, api: str, info: Info) -> bool:
        """Return whether this instance is asked for this metric, of an API by its name."""
        return self._matcher.lists(api, info)

    def learn(self, infos: Iterable[Info]) -> None:
        """Take what the provider lists: how it writes its names."""
        self._spellings.learn(infos)

    def read(self, trace: Trace) -> Outcome:
        """Return what the provider has, which may be kept, or be another read's. Raises WouldWaitError."""
        read = trace.read
        asking = self._asking(trace)
        figures = self.figures[trace.api]
        kept = self._keeper.cached(asking.key, asking.policy)
        if kept is None:
            outcome = self._ask(asking)
        else:
            trace.may_take(len(kept.values) if isinstance(kept, Answer) else 0)
            trace.steps.append(Hit(self.name, figures))
            outcome = kept
        if isinstance(outcome, Answer):
            moment = self._clock.now()
            outcome = self._freshness.judge(outcome, asking.policy, read, moment)
        if isinstance(outcome, Answer):
            assert outcome.oldest is not None
            trace.steps.append(Served(self.name, figures, age_seconds(outcome.oldest, moment)))
        else:
            trace.steps.append(Passed(self.name, figures, outcome.reason if isinstance(outcome, Failed) else ""))
        return outcome

    def settle(self, outcome: Missing | Failed, trace: Trace, make: Make) -> Fallback:
        """Return what the policy answers in place of the provider; `make` makes values of a quantity.

        Raises StatusError where the objects that these would be for are not known, and WouldWaitError.
        """
        read = trace.read
        asking = self._asking(trace)
        if isinstance(outcome, Missing):
            outcome = self._explained(outcome, asking)
        reason = outcome.reason
        message = outcome.message if isinstance(outcome, Missing) else outcome.fault.whole
        settled = partial(Settled, self.name, self.figures[trace.api], reason=reason, message=message)
        empty = isinstance(outcome, Missing)
        try:
            found = fallback(outcome, read, asking.policy, partial(self._stand_in, asking, make))
        except StatusError:
            trace.steps.append(settled(result="failed", empty=empty))
            raise
        trace.steps.append(settled(result=found.result, empty=empty))
        return found

    def write(self, api: str, metric: str, work: Callable[[RequestContext], None], request: Request) -> None:
        """Run what writes a value of this metric, within the deadline and the slots of a read.

        Raises StatusError, and what `work` raises.
        """
        policy = self._policies.find(metric, any_case=api == EXTERNAL_METRICS_API.name)
        context = self._context(request, policy, None)
        timed = partial(self._timed, api, partial(work, context))
        if not self.takes_threads:
            timed()
        elif not self._enter(subject := Subject("", metric)):
            raise self._full(subject).fault.error()
        else:
            try:
                write(self.name, self._bulkhead, timed, context.remaining())
            finally:
                self._leave(subject)

    def _timed(self, api: str, work: Callable[[], None]) -> None:
        begun = self._clock.monotonic()
        try:
            work()
        finally:
            if api in self.figures:
                self.figures[api].called(self._clock.monotonic() - begun)

    def _asking(self, trace: Trace) -> Asking:
        read, request = self._spellings.named(trace.read), trace.request
        policy = self._policies.find(read.info.metric, any_case=read.api is EXTERNAL_METRICS_API)
        user = request.user if self.provider.per_user else None
        key = read if user is None else (read, user)
        return Asking(trace, read, self._context(request, policy, user), policy, key)

    def _context(self, request: Request, policy: PolicySettings, user: UserInfo | None) -> RequestContext:
        deadline = min(request.deadline, self._clock.monotonic() + policy.timeout)
        return RequestContext(deadline, request.audit_id, self._clock, self._logger, user)

    def _stand_in(self, asking: Asking, make: Make, substitute: SubstituteSettings) -> Values | None:
        """Return what stands in; None where the policy knows nothing that could."""
        match substitute.kind:
            case Substitute.ZERO:
                return make(_ZERO)
            case Substitute.VALUE if substitute.value is not None:
                return make(substitute.value)
            case Substitute.LAST:
                last = self._keeper.last(asking.key, substitute.seconds)
                if last is not None:
                    asking.trace.may_take(len(last.values))
                    return last.values or None
        return None

    def _explained(self, missing: Missing, asking: Asking) -> Missing:
        """Tell no sample at all from samples that the selector leaves out; where that costs little.

        A provider that does not answer from memory, or has very many series, is not asked again.
        """
        read = asking.read
        if missing.reason is not MissingReason.NO_SAMPLE or read.by_name or read.metric_selector.empty:
            return missing
        if not self.provider.answers_from_memory:
            return missing
        if (self.provider.series_count(read.info, read.namespace) or 0) > _MOST_EXPLAINED:
            return missing
        wider = self._call(asking, read.wider())
        if not isinstance(wider, Answer) or not wider.values:
            return missing
        return Missing(
            MissingReason.FILTERED,
            f"provider {self.name} has samples of {read.info.metric}, and none that the selector matches: {read}",
        )

    def _ask(self, asking: Asking) -> Outcome:
        """Ask on this thread what answers from memory, and anything else on one of the provider's."""
        trace = asking.trace
        if self.takes_threads:
            trace.may_wait()
        elif not trace.request.may_wait:
            trace.may_take(self.provider.series_count(asking.read.info, asking.read.namespace))
        if self.provider.answers_from_memory:
            outcome = self._call(asking, asking.read)
            if keeps(asking.policy):
                trace.steps.append(Kept(partial(self._keep, outcome, asking)))
            return outcome
        subject = asking.subject
        if not self._enter(subject):
            return self._full(subject)
        try:
            return self._calls.wait(asking, self.figures[trace.api])
        finally:
            self._leave(subject)

    def _call(self, asking: Asking, read: Read) -> Outcome:
        """Call on this thread; it is counted as waiting where only the provider says that it will not."""
        subject = asking.subject if self.takes_threads else None
        if subject is not None and not self._enter(subject):
            return self._full(subject)
        try:
            outcome, called = self._caller.call(read, asking.context)
        finally:
            if subject is not None:
                self._leave(subject)
        asking.trace.steps.append(called)
        return outcome

    def _keep(self, outcome: Outcome, asking: Asking) -> None:
        self._keeper.keep(outcome, asking.read, asking.key, asking.policy)

    def _enter(self, subject: Subject) -> bool:
        """Have this thread wait for the provider, if its instance and this metric may have one more."""
        if not self._waiters.enter(subject, self._waiting.each):
            return False
        if self._waiting.enter(self):
            return True
        self._waiters.leave(subject)
        return False

    def _leave(self, subject: Subject) -> None:
        self._waiting.leave(self)
        self._waiters.leave(subject)

    def _full(self, subject: Subject) -> Failed:
        held, own = self._waiting.held(self), self._waiters.held(subject)
        if not held:
            return busy(self.name, "too many wait for other providers")
        if 0 < own < held:
            return busy(self.name, f"{held} reads are waiting for it already, {own} of them for {subject}")
        return busy(self.name, f"{held} reads are waiting for it already")
