"""What can come of asking one provider: an answer, nothing, or a failure. All are values: kept, compared, shared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from metrics_apiserver.apis.api import Values
from metrics_apiserver.errors import StatusError

__all__ = ["Answer", "Failed", "FailureReason", "Fault", "Missing", "MissingReason", "Outcome"]


class MissingReason(StrEnum):
    """Why there is nothing."""

    NOT_FOUND = "not_found"
    NO_SAMPLE = "no_sample"
    TOO_OLD = "too_old"
    FILTERED = "filtered"


class FailureReason(StrEnum):
    """Why a provider could not answer."""

    TIMEOUT = "timeout"
    BUSY = "busy"
    DOWN = "down"
    WRONG_ANSWER = "wrong_answer"
    RAISED = "raised"
    UNAVAILABLE = "unavailable"
    # Of one metric: the provider may have all others.
    NO_VALUE = "no_value"
    # The client's own mistake, or nothing that it may see: no failure of the provider.
    REFUSED = "refused"


class Fault(NamedTuple):
    """An error as a value. It holds no frames, and with them nothing that a provider had at hand."""

    kind: type[StatusError]
    code: int
    reason: str
    message: str
    details: Mapping[str, Any] | None
    cause: str

    @classmethod
    def of(cls, error: StatusError) -> Fault:
        """Return what an error says."""
        return cls(type(error), error.code, error.reason, error.message, error.details, error.cause)

    def error(self) -> StatusError:
        """Return a new error that says the same."""
        made = self.kind.__new__(self.kind)
        StatusError.__init__(made, self.message, details=self.details, cause=self.cause)
        made.code, made.reason = self.code, self.reason
        return made

    @property
    def whole(self) -> str:
        """What it says to people here: the message, and the cause that clients are not told."""
        return self.error().whole


class Answer(NamedTuple):
    """Values that were checked."""

    values: Values
    oldest: datetime | None
    """When the oldest sample was taken; None where there is no value."""
    at: float
    """When they were given, in the clock's monotonic time."""
    newest: datetime | None = None
    """When the newest sample was taken; None where there is no value."""


class Missing(NamedTuple):
    """A provider has no value: the next one may have it."""

    reason: MissingReason
    message: str
    fault: Fault | None = None
    """What the provider said itself, if it said something."""


class Failed(NamedTuple):
    """A provider could not answer."""

    reason: FailureReason
    fault: Fault


Outcome = Answer | Missing | Failed
