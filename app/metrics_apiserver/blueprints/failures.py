"""Every failure leaves as a Kubernetes Status in the negotiated format; every answer gets the common headers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from metrics_apiserver.blueprints import responses
from metrics_apiserver.blueprints.common_headers import COMMON_HEADERS, audit_id_of
from metrics_apiserver.blueprints.negotiation import MediaType
from metrics_apiserver.blueprints.status import status_document
from metrics_apiserver.environ import TARGET
from metrics_apiserver.errors import (
    InternalServerError,
    MethodNotAllowedError,
    NotAcceptableError,
    StatusError,
    default_status,
)
from metrics_apiserver.logs import shown_method, shown_target
from metrics_apiserver.logs.seldom import Seldom
from metrics_apiserver.schemas.encoders import JSON

__all__ = ["audit_id", "register"]

# The only routes that answer HEAD: load balancers probe so.
_HEAD_ENDPOINTS = "probes."


def register(app: Flask, logger: logging.Logger, *, admit: Callable[[], None] | None = None) -> None:
    """Install the handlers of failures and the headers of every answer.

    `admit` refuses who may not: before anything but a target that cannot be read.
    """

    said = Seldom()

    def status_error(error: StatusError) -> Response:
        # A client that is refused for its own mistake knows why, or is not to know; of trouble here people are told.
        if error.cause and error.code >= HTTPStatus.INTERNAL_SERVER_ERROR and said.allows(error.whole):
            logger.warning("audit-id %s: %s", audit_id(), error.whole)
        return _status(error)

    def http_error(error: HTTPException) -> Response:
        code = error.code or 500
        reason, message = default_status(code)
        return _status(StatusError(message, details={}), code=code, reason=reason)

    def bug(error: Exception) -> Response:
        asked = shown_method(request.method), shown_target(request.path)
        logger.error("audit-id %s: %s %s failed", audit_id(), *asked, exc_info=error)
        return _status(
            InternalServerError(f"an internal error occurred; the server's log has it under the audit id {audit_id()}")
        )

    app.before_request(_refuse_unread_target)
    if admit is not None:
        app.before_request(admit)
    app.before_request(_refuse_head)
    app.after_request(_common_headers)
    app.register_error_handler(StatusError, status_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, bug)


def audit_id() -> str:
    """Give this request's audit id: the client's if it is well formed, else a new one."""
    if "audit_id" not in g:
        g.audit_id = audit_id_of(request.headers.get("Audit-Id", ""))
    found: str = g.audit_id
    return found


def _status(error: StatusError, *, code: int = 0, reason: str = "") -> Response:
    try:
        media_type = responses.negotiated()
    except NotAcceptableError:
        media_type = MediaType(JSON)
    document = status_document(error, code=code, reason=reason)
    response = responses.document(document, media_type, status=code or error.code)
    if error.details and "retryAfterSeconds" in error.details:
        # Clients of Kubernetes read the header, and show the field.
        response.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    return response


def _refuse_unread_target() -> None:
    """Refuse a target that nobody may be judged for, and nothing is routed by."""
    target = request.environ[TARGET]
    if isinstance(target, StatusError):
        raise target


def _refuse_head() -> None:
    if request.method == "HEAD" and not (request.endpoint or "").startswith(_HEAD_ENDPOINTS):
        raise MethodNotAllowedError


def _common_headers(response: Response) -> Response:
    response.headers["Audit-Id"] = audit_id()
    response.headers.update(COMMON_HEADERS)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        # RFC 9110 15.5.2 asks for it: a bearer token is what a client can send again.
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
