"""Leaves out the samples that are too old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from metrics_apiserver.apis.api import Read
from metrics_apiserver.dispatch.outcomes import Answer, Missing, MissingReason
from metrics_apiserver.settings import PolicySettings
from metrics_apiserver.settings.durations import Duration

__all__ = ["fresh"]


def fresh(
    answer: Answer, policy: PolicySettings, read: Read, provider: str, now: Callable[[], datetime]
) -> Answer | Missing:
    """Return the answer without the samples that are older than the policy's `maxAge`; Missing where none is left."""
    if answer.oldest is None:
        return Missing(MissingReason.NO_SAMPLE, f"provider {provider} has no sample of {read}")
    if policy.max_age is None:
        return answer
    moment = now()
    limit = moment - timedelta(seconds=policy.max_age)
    if answer.oldest >= limit:
        return answer
    values = tuple(value for value in answer.values if value.timestamp >= limit)
    if values:
        return Answer(values, min(value.timestamp for value in values), answer.at)
    age = Duration(round((moment - max(value.timestamp for value in answer.values)).total_seconds()))
    return Missing(
        MissingReason.TOO_OLD,
        f"provider {provider} has only old samples of {read}: the newest is {age} old,"
        f" and at most {Duration(policy.max_age)} is allowed",
    )
