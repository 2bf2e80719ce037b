"""What the other server refused with → what our client gets."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson

from metrics_apiserver.provider import (
    BadGatewayError,
    BadRequestError,
    GatewayTimeoutError,
    MetricFailedError,
    MetricNotFoundError,
    MetricUnavailableError,
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
_NOBODY = (
    "was not told who asks, and lets nobody in without that: this server found no token (tokenFile) and no client"
    " certificate (clientCertFile) to show"
)


class _MetricTimeoutError(MetricFailedError):
    """The other server waited for too long itself."""

    code = GatewayTimeoutError.code
    reason = GatewayTimeoutError.reason


_OF_METRICS: Mapping[int, type[StatusError]] = {
    HTTPStatus.TOO_MANY_REQUESTS: MetricUnavailableError,
    HTTPStatus.SERVICE_UNAVAILABLE: MetricUnavailableError,
    HTTPStatus.GATEWAY_TIMEOUT: _MetricTimeoutError,
    HTTPStatus.BAD_GATEWAY: MetricFailedError,
}
_OF_PROVIDER: Mapping[int, type[StatusError]] = {
    HTTPStatus.TOO_MANY_REQUESTS: ServiceUnavailableError,
    HTTPStatus.SERVICE_UNAVAILABLE: ServiceUnavailableError,
    HTTPStatus.GATEWAY_TIMEOUT: GatewayTimeoutError,
    HTTPStatus.BAD_GATEWAY: BadGatewayError,
}


class _PassedOnError(MetricNotFoundError):
    """Not found, in the other server's words."""

    def __init__(self, message: str) -> None:
        NotFoundError.__init__(self, message)


class MissingPathError(BadGatewayError):
    """No Status says what is not there: most likely the path of an API or version that the server does not have."""


def refusal(address: str, answer: HTTPAnswer, *, named: bool = True) -> StatusError:
    """Make the error of an answer that is not 200; where the other server is, only its cause tells.

    What our client did wrong, or what is not there, the other server says in a Status; its own failures, and those of
    our account, are not the client's. Whatever it says in a Status shows that it is there: one metric's trouble.
    `named`: the request said who sends it.
    """
    message = _message(answer)
    words = f": {message}" if message else ""
    match answer.status:
        case HTTPStatus.NOT_FOUND if message is not None:
            return _PassedOnError(message)
        case HTTPStatus.NOT_FOUND:
            return MissingPathError("the other server answers 404 without a Status", cause=address)
        case HTTPStatus.BAD_REQUEST if message is not None:
            return BadRequestError(message)
        case HTTPStatus.UNAUTHORIZED:
            sentence = f"the other server {_CREDENTIALS} (401)"
        case HTTPStatus.FORBIDDEN:
            sentence = f"the other server {_RIGHTS if named else _NOBODY} (403{words})"
        case status:
            sentence = f"the other server answers {_phrase(status)}{words}"
    raised = _OF_METRICS if message is not None else _OF_PROVIDER
    return raised.get(answer.status, raised[HTTPStatus.BAD_GATEWAY])(sentence, cause=address)


def _message(answer: HTTPAnswer) -> str | None:
    """Return the sentence of a Status of this very code; of anything else, which a stranger may have sent, None."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict) or body.get("kind") != "Status" or body.get("code") not in (None, answer.status):
        return None
    message = body.get("message")
    return message[:_MESSAGE_LENGTH] if isinstance(message, str) else ""


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
