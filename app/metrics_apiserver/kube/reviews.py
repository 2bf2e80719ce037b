"""What the cluster's API says of a token and of an access: TokenReview and SubjectAccessReview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.kube.client import ClusterClient, ClusterError

__all__ = ["REVIEW_SECONDS", "Review", "ReviewedUser", "SubjectAccessReviews", "TokenReviews"]

# The most that one review takes, with the connection it may need.
REVIEW_SECONDS = 5.0

_TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, slots=True)
class ReviewedUser:
    """The user of a token, in the cluster's words."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Review:
    """The decision on an access; neither allowed nor denied means that nobody has an opinion."""

    allowed: bool
    denied: bool
    reason: str


class TokenReviews:
    """Asks the cluster whose a token is. No error, no log line and no repr holds the token."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    def review(self, token: str, audiences: Sequence[str]) -> ReviewedUser | None:
        """Return the token's user, None when the token is no good; with audiences it must be for one of them.

        Raises ClusterError when the cluster does not say.
        """
        if not _is_text(token):
            return None
        spec = {"token": token, "audiences": list(audiences)} if audiences else {"token": token}
        document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        answer = self._client.post_json(_TOKEN_REVIEWS, document, timeout=REVIEW_SECONDS, secret=True)
        status = _status(answer, _TOKEN_REVIEWS)
        # What `status.error` says is for nobody's eyes: it is about a token, and may be about its content.
        if status.get("authenticated") is not True:
            return None
        # A cluster that knows nothing of audiences names none, and its word is worth nothing then (TokenReviewSpec).
        if audiences and not set(audiences) & set(_texts(status.get("audiences"), _TOKEN_REVIEWS)):
            return None
        return _user(status.get("user"))


class SubjectAccessReviews:
    """Asks the cluster whether somebody may do something."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    def review(self, spec: Mapping[str, Any]) -> Review:
        """Return the answer to a SubjectAccessReviewSpec. Raises ClusterError when the cluster does not say."""
        document = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = _status(self._client.post_json(_ACCESS_REVIEWS, document, timeout=REVIEW_SECONDS), _ACCESS_REVIEWS)
        allowed, denied = status.get("allowed") is True, status.get("denied") is True
        if allowed and denied:
            raise ClusterError(f"POST {_ACCESS_REVIEWS}: the answer both allows and denies")
        reason = status.get("reason")
        return Review(allowed, denied, reason if isinstance(reason, str) else "")


def _is_text(token: str) -> bool:
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return True


def _status(answer: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    status = answer.get("status")
    if not isinstance(status, Mapping):
        raise ClusterError(f"POST {path}: the answer is not a review")
    return status


def _user(user: object) -> ReviewedUser:
    name = user.get("username") if isinstance(user, Mapping) else None
    if not isinstance(user, Mapping) or not isinstance(name, str) or not name:
        raise ClusterError(f"POST {_TOKEN_REVIEWS}: the answer names no user")
    extra, uid = user.get("extra") or {}, user.get("uid") or ""
    if not isinstance(extra, Mapping) or not isinstance(uid, str):
        raise ClusterError(f"POST {_TOKEN_REVIEWS}: the answer is not a review")
    return ReviewedUser(
        name=name,
        uid=uid,
        groups=_texts(user.get("groups"), _TOKEN_REVIEWS),
        extra={key: _texts(values, _TOKEN_REVIEWS) for key, values in extra.items()},
    )


def _texts(values: object, path: str) -> tuple[str, ...]:
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ClusterError(f"POST {path}: the answer is not a review")
    return tuple(values)
