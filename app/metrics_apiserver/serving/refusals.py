"""The answer when there is no application to give one: a Kubernetes `Status`."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import NamedTuple

from gunicorn.http import errors

from metrics_apiserver.errors import StatusError, default_status
from metrics_apiserver.exchange import Response, audit_id_of, common_fields
from metrics_apiserver.schemas.encoders import JSON, encode
from metrics_apiserver.schemas.status import retry_fields, status_document

__all__ = ["Refusal", "described", "is_clients_mistake", "refusal", "status_error"]

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
# What is quoted of a request that cannot be read: short, and of a form that no credentials have. The first word of its
# line, which may be a method; a version; a word of RFC 9110; a field's name of those that are known.
_METHOD = re.compile(r"(?:[A-Z]{1,16}|(?i:get|head|post|put|patch|delete|options))(?= |\Z)")
_VERSION = re.compile(r"HTTP/[0-9](?:\.[0-9])?\Z")
_WORD = re.compile(r"[a-z]{1,16}(?:-[a-z]{1,16})?\Z")
_NAME = re.compile(r"[A-Za-z-]{1,40}")
_NAMES = frozenset(
    [
        *("accept", "authorization", "connection", "content-length", "content-type", "cookie", "expect", "host"),
        *("proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    ]
)
# gunicorn's own words in the place of what it cannot read.
_BARE_LF = "bare LF as line terminator"


class Refusal(NamedTuple):
    """What a request is answered that did not come to the application, or that the application failed with."""

    response: Response
    audit_id: str
    message: str


def is_clients_mistake(error: BaseException) -> bool:
    """Return whether the request was wrong, and not this server."""
    if isinstance(error, StatusError):
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, errors.ParseException) and not isinstance(error, _OURS)


def described(error: BaseException) -> str:
    """Return what a request is refused for, in gunicorn's words; of the request only what can be no secret is quoted.

    What cannot be read may be anything, such as the credentials of a head whose lines have slipped.
    """
    match error:
        case errors.InvalidRequestLine():
            return "Invalid HTTP request line" + _quoted(error.req, _METHOD)
        case errors.InvalidRequestMethod():
            return "Invalid HTTP method" + _quoted(error.method, _METHOD)
        case errors.InvalidHTTPVersion():
            return "Invalid HTTP Version" + _quoted(error.version, _VERSION)
        case errors.ExpectationFailed():
            return "Unable to comply with expectation" + _quoted(error.expect, _WORD)
        case errors.UnsupportedTransferCoding():
            return "Unsupported transfer coding" + _quoted(error.hdr, _WORD)
        case errors.ObsoleteFolding():
            return "Obsolete line folding is unacceptable" + _named(error.hdr)
        case errors.InvalidHeaderName():
            return "Invalid HTTP header name" + _named(error.hdr)
        case errors.InvalidHeader():
            return "Invalid HTTP header" + _named(error.hdr)
        case errors.LimitRequestLine() | errors.LimitRequestHeaders():
            # Of numbers, and of ours.
            return str(error)
        case errors.InvalidChunkSize():
            return "Invalid chunk size"
        case errors.InvalidChunkExtension():
            return "Invalid chunk extension"
        case errors.ChunkMissingTerminator():
            return "Invalid chunk terminator"
        case errors.NoMoreData():
            return "No more data in the middle of a request"
    return "the request cannot be read"


def _quoted(read: object, form: re.Pattern[str]) -> str:
    """Quote the beginning of what was read, where it has this form."""
    if read == _BARE_LF:
        return f": {_BARE_LF}"
    found = form.match(read) if isinstance(read, str) else None
    return f": {found[0]!r}" if found is not None else ""


def _named(read: object) -> str:
    """Name the header field that a line begins with, where it is a known one."""
    if read == _BARE_LF:
        return f": {_BARE_LF}"
    found = _NAME.match(read) if isinstance(read, str) else None
    return f": {found[0]!r}" if found is not None and found[0].lower() in _NAMES else ""


def status_error(error: errors.ParseException) -> StatusError:
    """Return what gunicorn's parser refuses as the error that carries a `Status`."""
    code = next((known for kind, known in _CODES.items() if isinstance(error, kind)), 400)
    reason, sentence = default_status(code)
    found = StatusError(f"{sentence}: {described(error)}")
    found.code, found.reason = code, reason
    return found


def refusal(error: BaseException) -> Refusal:
    """Return the answer for what gunicorn or the application raised; of our own mistakes it says only the audit id."""
    audit_id = audit_id_of()
    if isinstance(error, StatusError):
        found = error
    elif isinstance(error, errors.ParseException) and is_clients_mistake(error):
        found = status_error(error)
    else:
        _, sentence = default_status(500)
        found = StatusError(f"{sentence}; the server's log says more under audit id {audit_id}")
    fields = (*retry_fields(found), *common_fields(audit_id))
    return Refusal(Response(found.code, JSON, encode(status_document(found)), fields), audit_id, found.message)
