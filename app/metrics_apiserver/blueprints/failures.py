"""Flask's hooks around every view: what is refused before it, how a failure is answered, what every answer has."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from metrics_apiserver.answering.failures import Failures
from metrics_apiserver.auth.access import Access
from metrics_apiserver.auth.request_info import request_info
from metrics_apiserver.blueprints import responses
from metrics_apiserver.environ import HEADER_PAIRS, JUDGEMENT, PEER_CERTIFICATE, TARGET
from metrics_apiserver.errors import MethodNotAllowedError, StatusError, default_status
from metrics_apiserver.exchange import common_fields

__all__ = ["register"]

# The only routes that answer HEAD: load balancers probe so.
_HEAD_ENDPOINTS = "probes."


def register(app: Flask, failures: Failures, *, access: Access | None = None) -> None:
    """Install the hooks; `access` refuses who may not, before anything but a target that cannot be read."""

    def status_error(error: StatusError) -> Response:
        return responses.of(failures.answer(error, responses.asking()))

    def http_error(error: HTTPException) -> Response:
        code = error.code or 500
        reason, message = default_status(code)
        said = StatusError(message, details={})
        return responses.of(failures.answer(said, responses.asking(), code=code, reason=reason))

    def bug(error: Exception) -> Response:
        return responses.of(failures.answer_bug(error, responses.asking()))

    def admit() -> None:
        if access is not None:
            _admit(access)

    app.before_request(_refuse_unread_target)
    app.before_request(admit)
    app.before_request(_refuse_head)
    app.after_request(_common_fields)
    app.register_error_handler(StatusError, status_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, bug)


def _admit(access: Access) -> None:
    environ = request.environ
    info = request_info(request.method, environ[TARGET])
    judgement = access.judge(environ[HEADER_PAIRS], environ.get(PEER_CERTIFICATE), info)
    environ[JUDGEMENT] = judgement
    access.note(judgement)
    if judgement.error is not None:
        raise judgement.error


def _refuse_unread_target() -> None:
    """Refuse a target that nobody may be judged for, and nothing is routed by."""
    target = request.environ[TARGET]
    if isinstance(target, StatusError):
        raise target


def _refuse_head() -> None:
    if request.method == "HEAD" and not (request.endpoint or "").startswith(_HEAD_ENDPOINTS):
        raise MethodNotAllowedError


def _common_fields(response: Response) -> Response:
    response.headers.update(common_fields(responses.asking().audit_id))
    return response
