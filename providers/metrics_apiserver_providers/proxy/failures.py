"""What the other server refused with → what our client gets."""

from __future__ import annotations

from http import HTTPStatus

import orjson

from metrics_apiserver.provider import (
    BadGatewayError,
    BadRequestError,
    GatewayTimeoutError,
    MetricNotFoundError,
    NotFoundError,
    ServiceUnavailableError,
    StatusError,
)
from metrics_apiserver.provider.http import HTTPAnswer

__all__ = ["MissingPathError", "refusal"]

# Sentences of a Status are passed on; one that lists a cluster's resources is long.
_MESSAGE_LENGTH = 4096
_RIGHTS = (
    "does not let this server read: give its account a ClusterRole such as metrics-apiserver:metrics-reader"
    " (get on custom.metrics.k8s.io, list on external.metrics.k8s.io)"
)
_CREDENTIALS = "does not know this server: its token, or its client certificate, is refused"
_AWAY = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)


class _PassedOnError(MetricNotFoundError):
    """Not found, in the other server's words."""

    def __init__(self, message: str) -> None:
        NotFoundError.__init__(self, message)


class MissingPathError(BadGatewayError):
    """No Status says what is not there: most likely the path of an API or version that the server does not have."""


def refusal(address: str, answer: HTTPAnswer) -> StatusError:
    """Make the error of an answer that is not 200; where the other server is, only its cause tells.

    What our client did wrong, or what is not there, the other server says in a Status; its own failures, and those of
    our account, are not the client's.
    """
    message = _message(answer)
    if answer.status == HTTPStatus.NOT_FOUND:
        return (
            _PassedOnError(message)
            if message
            else MissingPathError("the other server answers 404 without a Status", cause=address)
        )
    if message and answer.status == HTTPStatus.BAD_REQUEST:
        return BadRequestError(message)
    words = f": {message}" if message else ""
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return BadGatewayError(f"the other server {_CREDENTIALS} (401)", cause=address)
    if answer.status == HTTPStatus.FORBIDDEN:
        return BadGatewayError(f"the other server {_RIGHTS} (403{words})", cause=address)
    sentence = f"the other server answers {_phrase(answer.status)}{words}"
    if answer.status in _AWAY:
        return ServiceUnavailableError(sentence, cause=address)
    if answer.status == HTTPStatus.GATEWAY_TIMEOUT:
        return GatewayTimeoutError(sentence, cause=address)
    return BadGatewayError(sentence, cause=address)


def _message(answer: HTTPAnswer) -> str:
    """Return the sentence of a Status of this very code; of anything else, which a stranger may have sent, nothing."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(body, dict) or body.get("kind") != "Status" or body.get("code") not in (None, answer.status):
        return ""
    message = body.get("message")
    return " ".join(message.split())[:_MESSAGE_LENGTH] if isinstance(message, str) else ""


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
