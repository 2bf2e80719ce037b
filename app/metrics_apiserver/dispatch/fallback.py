"""What is answered where a provider has nothing, or failed: the policy of the metric decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from metrics_apiserver.apis.api import Read, Values
from metrics_apiserver.dispatch.outcomes import Failed, FailureReason, Fault, Missing
from metrics_apiserver.errors import NotFoundError
from metrics_apiserver.settings import PolicySettings, Substitute, SubstituteSettings

__all__ = ["Fallback", "fallback"]


class Fallback(NamedTuple):
    """What is answered: values, or an error."""

    result: str
    """empty, substituted, failed, or refused."""
    values: Values
    fault: Fault | None


def fallback(
    outcome: Missing | Failed,
    read: Read,
    policy: PolicySettings,
    stand_in: Callable[[SubstituteSettings], Values | None],
) -> Fallback:
    """Apply `onEmpty`, or `onError`. `stand_in` returns what stands in; None where there is nothing that could."""
    if isinstance(outcome, Missing):
        fault = outcome.fault or Fault.of(NotFoundError(outcome.message))
        # A provider that said so itself is taken at its word.
        without = fault if read.by_name or outcome.fault is not None else None
        substitute = policy.on_empty
    elif outcome.reason is FailureReason.REFUSED:
        return Fallback("refused", (), outcome.fault)
    else:
        fault = outcome.fault
        without = Fault.of(NotFoundError(fault.message)) if read.by_name else None
        substitute = policy.on_error
    if substitute.kind is Substitute.EMPTY:
        return Fallback("empty", (), without)
    values = stand_in(substitute)
    return Fallback("failed", (), fault) if values is None else Fallback("substituted", values, None)
