"""What is kept of a provider's answers, and for how long: for the next equal read, and to stand in for a later one."""

from __future__ import annotations

from collections.abc import Hashable

from metrics_apiserver.apis.api import Read
from metrics_apiserver.dispatch.freshness import Freshness
from metrics_apiserver.dispatch.outcomes import Answer, Failed, Missing, Outcome
from metrics_apiserver.dispatch.store import AnswerStore
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.settings import PolicySettings, Substitute

__all__ = ["Keeper", "keeps"]


class Keeper:
    """The answers of one instance. A key is the read, with the user where the provider answers each otherwise."""

    def __init__(self, freshness: Freshness, clock: Clock) -> None:
        self._freshness = freshness
        self._clock = clock
        self._cache = AnswerStore(clock.monotonic)
        self._last = AnswerStore(clock.monotonic)

    def cached(self, key: Hashable, policy: PolicySettings) -> Answer | Missing | None:
        """Return what may be answered again; None where there is nothing, or the policy keeps nothing."""
        return self._cache.get(key) if policy.cache > 0 else None

    def last(self, key: Hashable, seconds: float) -> Answer | None:
        """Return the last answer, if it is no older than this."""
        kept = self._last.get(key)
        return kept if isinstance(kept, Answer) and kept.at >= self._clock.monotonic() - seconds else None

    def keep(self, outcome: Outcome, read: Read, key: Hashable, policy: PolicySettings) -> None:
        """Keep what the policy has a use for."""
        if isinstance(outcome, Failed) or not keeps(policy):
            return
        length = _characters(read)
        if policy.cache > 0:
            self._cache.put(key, outcome, policy.cache, characters=length)
        seconds = _last_seconds(policy)
        if seconds and isinstance(outcome, Answer):
            good = self._freshness.judge(outcome, policy, read, self._clock.now())
            if isinstance(good, Answer):
                self._last.put(key, good, seconds, characters=length)


def keeps(policy: PolicySettings) -> bool:
    """Return whether an answer is kept for anything."""
    return policy.cache > 0 or Substitute.LAST in (policy.on_empty.kind, policy.on_error.kind)


def _last_seconds(policy: PolicySettings) -> float:
    """Return for how long the last answer of a read is kept; 0 where it never stands in for another."""
    substitutes = (policy.on_empty, policy.on_error)
    return max(each.seconds if each.kind is Substitute.LAST else 0.0 for each in substitutes)


def _characters(read: Read) -> int:
    """Return about how long a read is, for who keeps it: also what its text hides counts."""
    return len(str(read)) + sum(len(str(selector)) for selector in read.selectors)
