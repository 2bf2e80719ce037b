"""A failure as the wire has it."""

from __future__ import annotations

from typing import Any

from metrics_apiserver.errors import StatusError
from metrics_apiserver.schemas.meta_v1 import StatusSchema

__all__ = ["status_document"]


def status_document(error: StatusError, *, code: int = 0, reason: str = "") -> Any:
    """Write an error as a Kubernetes `Status`, with another code and reason than its own if they are given."""
    content = {"message": error.message, "reason": reason or error.reason, "code": code or error.code}
    if error.details is not None:
        content["details"] = error.details
    return StatusSchema().dump(content)
