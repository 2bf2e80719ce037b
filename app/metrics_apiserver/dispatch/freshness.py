"""How old samples are: leaves out those that are too old, and those of whose age nothing is known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from metrics_apiserver.apis.api import Read
from metrics_apiserver.dispatch.outcomes import Answer, Missing, MissingReason
from metrics_apiserver.logs.seldom import Seldom
from metrics_apiserver.model.clock import SKEW
from metrics_apiserver.settings import PolicySettings
from metrics_apiserver.settings.durations import Duration, in_words

__all__ = ["Freshness"]


class Freshness:
    """Judges the samples of one provider."""

    def __init__(
        self,
        provider: str,
        *,
        monotonic: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        self._provider = provider
        self._logger = logger
        # A provider whose clock is wrong is wrong at every read: a line a minute for each metric.
        self._warned = Seldom(timer=monotonic)

    def judge(self, answer: Answer, policy: PolicySettings, read: Read, moment: datetime) -> Answer | Missing:
        """Return the answer without the samples that are older than the policy's `maxAge`; Missing where none is left.

        `moment` is now. With a `maxAge` those are left out, too, that are from a time still to come.
        """
        if answer.oldest is None or answer.newest is None:
            return Missing(MissingReason.NO_SAMPLE, f"provider {self._provider} has no sample of {read}")
        latest = moment + SKEW
        if answer.newest > latest and self._warned.allows((read.api.name, read.info)):
            self._logger.warning("provider %s: %s", self._provider, _ahead(answer.newest, moment, read))
        if policy.max_age is None:
            return answer
        limit = moment - timedelta(seconds=policy.max_age)
        if answer.oldest >= limit and answer.newest <= latest:
            return answer
        values = tuple(value for value in answer.values if limit <= value.timestamp <= latest)
        if values:
            times = [value.timestamp for value in values]
            return Answer(values, min(times), answer.at, max(times))
        return Missing(MissingReason.TOO_OLD, self._why(answer, policy.max_age, moment, read))

    def _why(self, answer: Answer, most: float, moment: datetime, read: Read) -> str:
        known = [value.timestamp for value in answer.values if value.timestamp <= moment + SKEW]
        if not known:
            assert answer.newest is not None
            return f"provider {self._provider}: {_ahead(answer.newest, moment, read)}, and `maxAge` is {Duration(most)}"
        age = in_words((moment - max(known)).total_seconds())
        return (
            f"provider {self._provider} has only old samples of {read}: the newest is {age} old,"
            f" and at most {Duration(most)} is allowed"
        )


def _ahead(newest: datetime, moment: datetime, read: Read) -> str:
    ahead = in_words((newest - moment).total_seconds())
    return f"the time of a sample of {read} is {ahead} from now, so that nobody knows how old it is"
