"""What can come of asking one provider: an answer, nothing, or a failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from metrics_apiserver.errors import NotFoundError, StatusError

__all__ = ["Answer", "Failed", "FailureReason", "MissingReason", "Nothing", "Outcome"]


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


class Answer(NamedTuple):
    """Values that were checked; `at` is when they were given, in the clock's monotonic time."""

    values: Sequence[Any]
    oldest: datetime | None
    at: float


class Nothing(Exception):  # noqa: N818 - no error: the next provider may have it
    """A provider has no value; `error` is what it said itself, if it said something."""

    def __init__(self, reason: MissingReason, message: str, error: NotFoundError | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.error = error

    def without_frames(self) -> Nothing:
        """Give it to be kept: the provider's own error would keep whatever the provider had at hand."""
        error = self.error and NotFoundError(self.error.message, details=self.error.details)
        return Nothing(self.reason, self.message, error)


class Failed(Exception):  # noqa: N818 - carries the error that the client gets
    """A provider could not answer; `error` is what the client gets."""

    def __init__(self, reason: FailureReason, error: StatusError) -> None:
        super().__init__(error.message)
        self.reason = reason
        self.error = error


Outcome = Answer | Nothing | Failed
