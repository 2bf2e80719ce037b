"""The answer when there is no application to give one: a Kubernetes `Status` as the bytes of a whole response."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.util import http_date

from app.errors import StatusError, default_status

__all__ = ["Refusal", "is_clients_mistake", "refusal", "status_error"]

# Everything else that gunicorn's parser raises is a 400.
_CODES: dict[type[Exception], int] = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.UnsupportedTransferCoding: 501,
    errors.ExpectationFailed: 417,
    errors.ForbiddenProxyRequest: 403,
}
# Of gunicorn's parser, and yet a mistake on this side: in its settings, or in what the application answers.
_OURS = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
# A request line has up to 8 KiB, and the message quotes it.
_LONGEST_QUOTE = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure's answer."""

    code: int
    reason: str
    message: str
    audit_id: str
    with_body: bool
    details: Mapping[str, Any] | None = None

    def to_bytes(self) -> bytes:
        """Render the response; the connection ends with it."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        retry = ""
        if self.details is not None:
            status["details"] = dict(self.details)
            if "retryAfterSeconds" in self.details:
                retry = f"Retry-After: {self.details['retryAfterSeconds']}\r\n"
        body = json.dumps(status, separators=(",", ":")).encode("ascii") + b"\n"
        head = (
            f"HTTP/1.1 {self.code} {HTTPStatus(self.code).phrase}\r\n"
            f"Date: {http_date()}\r\n"
            "Connection: close\r\n"
            f"{retry}"
            f"Audit-Id: {self.audit_id}\r\n"
            "Cache-Control: no-cache, private\r\n"
            "Content-Type: application/json\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + (body if self.with_body else b"")


def is_clients_mistake(error: BaseException) -> bool:
    """Say whether the request was wrong, and not this server."""
    if isinstance(error, StatusError):
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, errors.ParseException) and not isinstance(error, _OURS)


def status_error(error: errors.ParseException) -> StatusError:
    """Return what gunicorn's parser refuses as the error that carries a `Status`."""
    code = next((known for kind, known in _CODES.items() if isinstance(error, kind)), 400)
    reason, sentence = default_status(code)
    quote = str(error)
    if len(quote) > _LONGEST_QUOTE:
        quote = quote[:_LONGEST_QUOTE] + "…"
    found = StatusError(f"{sentence}: {quote}")
    found.code, found.reason = code, reason
    return found


def refusal(error: BaseException, *, with_body: bool = True) -> Refusal:
    """Return the answer for what gunicorn or the application raised; of our own mistakes it says only the audit id."""
    audit_id = str(uuid.uuid4())
    if isinstance(error, StatusError):
        found = error
    elif is_clients_mistake(error):
        found = status_error(error)
    else:
        _, sentence = default_status(500)
        found = StatusError(f"{sentence}; the server's log says more under audit id {audit_id}")
    return Refusal(found.code, found.reason, found.message, audit_id, with_body, found.details)
