"""What is said of a provider instance beside its options: which reads are its own, and what the server does for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from metrics_apiserver.model.quantity import Quantity

__all__ = [
    "BreakerSettings",
    "MatchSettings",
    "MetricPolicySettings",
    "PolicySettings",
    "ProviderSettings",
    "Substitute",
    "SubstituteSettings",
]


@dataclass(frozen=True, slots=True)
class MatchSettings:
    """Which reads an instance is asked for: all that is said has to fit, and what is left out fits everything.

    Namespaces, resources and metrics are globs, of which one has to fit.
    """

    # "custom" or "external".
    api: str = ""
    namespaces: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    # `key` or `key=value` (a glob): a label that the read's selector of series has to require.
    label: str = ""


class Substitute(Enum):
    """What stands in for an answer that is not there."""

    EMPTY = "empty"
    ERROR = "error"
    ZERO = "zero"
    VALUE = "value"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class SubstituteSettings:
    """The substitute, with its value, or with how long the last answer may stand in (seconds)."""

    kind: Substitute
    value: Quantity | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What the server guarantees for a read; all times in seconds."""

    timeout: float = 1.5
    # How long an answer is used again.
    cache: float = 0.0
    # Older samples are not served.
    max_age: float | None = None
    on_empty: SubstituteSettings = SubstituteSettings(Substitute.EMPTY)
    on_error: SubstituteSettings = SubstituteSettings(Substitute.ERROR)


@dataclass(frozen=True, slots=True)
class MetricPolicySettings:
    """Another policy for the metrics whose name fits one of these globs."""

    metrics: tuple[str, ...]
    policy: PolicySettings


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """After so many failures in a row nobody is asked, until after so many seconds one read tries again."""

    failures: int = 5
    reset: float = 10.0


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider instance: its name, the entry point's name, its options as written, and how it is asked."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    # One of them has to fit; none: every read.
    match: tuple[MatchSettings, ...] = ()
    # Whether the next instance is asked where this one has nothing.
    next_on_not_found: bool = True
    policy: PolicySettings = PolicySettings()
    # The first that fits counts; their policies are complete, with what is left out taken from `policy`.
    metrics: tuple[MetricPolicySettings, ...] = ()
    # How many calls may be under way at once.
    concurrency: int = 8
    breaker: BreakerSettings = BreakerSettings()
