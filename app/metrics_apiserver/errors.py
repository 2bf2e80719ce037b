"""What a request can fail with: each error is a Kubernetes `Status` in waiting, and knows no HTTP library.

StatusError
├── BadRequestError             400
├── UnauthorizedError           401
├── ForbiddenError              403
├── NotFoundError               404
│   ├── MetricNotFoundError     (upstream's three sentences)
│   └── ResourceNotFoundError
├── MethodNotAllowedError       405
├── NotAcceptableError          406
├── RequestTimeoutError         408
├── RequestTooLargeError        413
├── InternalServerError         500
├── BadGatewayError             502
│   └── MetricFailedError       (one metric's trouble, not its provider's)
├── ServiceUnavailableError     503
│   ├── MetricUnavailableError  (one metric's trouble, not its provider's)
│   └── BackendUnavailableError (the trouble of all metrics of its provider)
└── GatewayTimeoutError         504

WouldWaitError                  (no failure: ask again where there is time)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.model.selectors import Selector

__all__ = [
    "BackendUnavailableError",
    "BadGatewayError",
    "BadRequestError",
    "ForbiddenError",
    "GatewayTimeoutError",
    "InternalServerError",
    "MethodNotAllowedError",
    "MetricFailedError",
    "MetricNotFoundError",
    "MetricUnavailableError",
    "NotAcceptableError",
    "NotFoundError",
    "RequestTimeoutError",
    "RequestTooLargeError",
    "ResourceNotFoundError",
    "ServiceUnavailableError",
    "StatusError",
    "UnauthorizedError",
    "WouldWaitError",
    "default_status",
    "described",
]


class WouldWaitError(Exception):
    """A part that may not wait would have to: for a provider, for the cluster, or for much work of its own.

    No answer for a client: the same is asked again on a thread, where it may wait.
    """


class StatusError(Exception):
    """A failure with the code, the reason and the sentence that its `Status` carries (meta/v1 `Status`).

    `details` is the Status's own field: None leaves it out. `cause` says more in the log and in `/debug`, and does not
    reach the client: it may name the cluster's address, or quote what another server said.
    """

    code = 500
    reason = "InternalError"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None, cause: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.cause = cause

    @property
    def whole(self) -> str:
        """The message and the cause, for the log and for `/debug`."""
        return f"{self.message}: {self.cause}" if self.cause else self.message


class BadRequestError(StatusError):
    """The request cannot be understood; the message says what to change."""

    code = 400
    reason = "BadRequest"


class UnauthorizedError(StatusError):
    """What the client presented proves nobody; `cause` says why in the log, and not to the client."""

    code = 401
    reason = "Unauthorized"

    def __init__(self, cause: str) -> None:
        super().__init__("Unauthorized", cause=cause)


class ForbiddenError(StatusError):
    """The server knows who asks and refuses."""

    code = 403
    reason = "Forbidden"


class NotFoundError(StatusError):
    """Nothing is there."""

    code = 404
    reason = "NotFound"

    @classmethod
    def for_path(cls) -> NotFoundError:
        """No such path; the sentence is the apiserver's."""
        return cls("the server could not find the requested resource", details={})


class MetricNotFoundError(NotFoundError):
    """No value of this metric, in upstream's words (custom-metrics-apiserver `provider/errors.go`).

    By-name reads with this error go on to the next provider.
    """

    def __init__(
        self, resource: GroupResource | str, metric: str, name: str = "", selector: Selector | None = None
    ) -> None:
        message = f"the server could not find the metric {metric} for {resource}"
        if name:
            message += f" {name}"
        if selector is not None and not selector.empty:
            message += f" with selector {selector}"
        super().__init__(message)


# What kubectl takes for these, and no API does.
_SHORT_NAMES = {
    "po": "pods",
    "svc": "services",
    "no": "nodes",
    "ns": "namespaces",
    "pvc": "persistentvolumeclaims",
    "pv": "persistentvolumes",
    "deploy": "deployments.apps",
    "ds": "daemonsets.apps",
    "rs": "replicasets.apps",
    "sts": "statefulsets.apps",
    "ing": "ingresses.networking.k8s.io",
    "hpa": "horizontalpodautoscalers.autoscaling",
    "cj": "cronjobs.batch",
}
# Comparing takes time with the length, and clients choose the name.
_LONGEST_NAME = 100


class ResourceNotFoundError(NotFoundError):
    """The cluster has no such resource; says which it has."""

    # More names than this help nobody; the message must stay readable.
    LISTED = 80

    def __init__(self, resource: GroupResource, known: Iterable[GroupResource]) -> None:
        names = sorted(str(name) for name in known)
        self._resource, self._known = resource, names
        listed = ", ".join(names[: self.LISTED])
        if len(names) > self.LISTED:
            listed += f" and {len(names) - self.LISTED} more"
        super().__init__(f"no matches for {resource.group}/, Resource={resource.resource}; known resources: {listed}")

    @property
    def meant(self) -> str:
        """The resource that was probably meant; "" where none is like it. kubectl's short names are known."""
        name = self._resource.resource.lower()
        if name in _SHORT_NAMES:
            return _SHORT_NAMES[name]
        plurals = {known.partition(".")[0]: known for known in reversed(self._known)}
        close = get_close_matches(name, plurals, n=1) if len(name) < _LONGEST_NAME else []
        return plurals[close[0]] if close else ""


class MethodNotAllowedError(StatusError):
    """The path exists, but not for this method."""

    code = 405
    reason = "MethodNotAllowed"

    def __init__(self) -> None:
        super().__init__("the server does not allow this method on the requested resource", details={})


class NotAcceptableError(StatusError):
    """The client accepts none of the media types that we can give; the message names them."""

    code = 406
    reason = "NotAcceptable"

    def __init__(self, media_types: Iterable[str], *, problem: str = "") -> None:
        super().__init__(f"{problem}only the following media types are accepted: {', '.join(media_types)}")


class RequestTimeoutError(StatusError):
    """The rest of the request did not come in the time there is for it."""

    code = 408
    reason = "Timeout"


class RequestTooLargeError(StatusError):
    """The body, or what it would add, is more than this server holds."""

    code = 413
    reason = "RequestEntityTooLarge"


class InternalServerError(StatusError):
    """A mistake of ours: the client learns the audit id, the log has the rest."""


class BadGatewayError(StatusError):
    """A provider failed, or gave what is not an answer; the message names it."""

    code = 502
    # meta/v1 has no reason of its own for it.
    reason = "InternalError"


class ServiceUnavailableError(StatusError):
    """What the answer needs is not there at the moment."""

    code = 503
    reason = "ServiceUnavailable"


class GatewayTimeoutError(StatusError):
    """A provider did not answer in time; the message names it."""

    code = 504
    reason = "Timeout"


class MetricFailedError(BadGatewayError):
    """The backend answers, and says that it fails for this one metric: no failure of the provider."""


class MetricUnavailableError(ServiceUnavailableError):
    """One metric has no value at the moment, whatever its provider has besides: no failure of the provider."""


class BackendUnavailableError(ServiceUnavailableError):
    """The provider's backend cannot be reached, so that no other metric of the provider can be read either.

    The provider is not asked for anything for a while (`breaker.reset`).
    """


# What the Status says for a failure that an HTTP library raised before our code ran (apimachinery
# `errors.NewGenericServerResponse` has the same reasons).
_STATUS_BY_CODE = {
    400: ("BadRequest", "the server could not understand the request"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "the server refused the request"),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    406: ("NotAcceptable", "the server cannot answer in any of the accepted media types"),
    408: ("Timeout", "the request did not arrive in time"),
    411: ("BadRequest", "the request needs a Content-Length"),
    413: ("RequestEntityTooLarge", "the request's body is too large"),
    414: ("BadRequest", "the request's URI is too long"),
    415: ("UnsupportedMediaType", "the media type of the request's body is not supported"),
    417: ("BadRequest", "the server does not meet the request's expectation"),
    431: ("BadRequest", "the request's header fields are too large or too many"),
    501: ("BadRequest", "the server does not know the request's transfer coding"),
    503: ("ServiceUnavailable", "the server is not able to answer at the moment"),
}


def default_status(code: int) -> tuple[str, str]:
    """Return reason and sentence for a bare HTTP status code; an unknown one counts as an internal error."""
    fallback = "BadRequest" if 400 <= code < 500 else "InternalError"
    return _STATUS_BY_CODE.get(code, (fallback, "the server could not answer the request"))


def described(error: BaseException) -> str:
    """Return what somebody's code raised, class and message, as a sentence of the log quotes it."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
