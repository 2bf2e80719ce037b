"""A failure as the wire has it: meta/v1 `Status`."""

from __future__ import annotations

from typing import Any

from metrics_apiserver.errors import StatusError
from metrics_apiserver.exchange import Fields
from metrics_apiserver.schemas.meta_v1 import StatusSchema

__all__ = ["retry_fields", "status_document"]


def status_document(error: StatusError, *, code: int = 0, reason: str = "") -> dict[str, Any]:
    """Return an error as a Kubernetes `Status`, with another code and reason than its own if they are given."""
    content = {"message": error.message, "reason": reason or error.reason, "code": code or error.code}
    if error.details is not None:
        content["details"] = error.details
    found: dict[str, Any] = StatusSchema().dump(content)
    return found


def retry_fields(error: StatusError) -> Fields:
    """Return the header field that says when to come back: clients of Kubernetes read it, and show the Status's own."""
    seconds = error.details.get("retryAfterSeconds") if error.details else None
    # A provider's own error may hold anything.
    return (("Retry-After", str(seconds)),) if isinstance(seconds, int) else ()
