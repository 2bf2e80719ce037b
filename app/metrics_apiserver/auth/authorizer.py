"""May they: what needs no asking, and else what the cluster says in a SubjectAccessReview."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from metrics_apiserver.auth.request_info import RequestInfo
from metrics_apiserver.auth.review_cache import ReviewCache
from metrics_apiserver.auth.user import MASTERS, characters, is_verified
from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.errors import ForbiddenError, ServiceUnavailableError
from metrics_apiserver.kube.client import ClusterError
from metrics_apiserver.model.quoting import quoted
from metrics_apiserver.model.users import UserInfo

__all__ = ["AccessReviewer", "Authorizer", "Decision", "access_review"]

_CACHED = 10_000


class Decision(Protocol):
    """What the cluster decided; the reason may be empty."""

    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class AccessReviewer(Protocol):
    """Asks the cluster whether a user may; `metrics_apiserver.kube.reviews` fits it."""

    def review(self, spec: Mapping[str, Any]) -> Decision:
        """Answer a SubjectAccessReviewSpec. Raises ClusterError when the cluster gives no answer."""


class Authorizer:
    """Decides on requests; each decision of the cluster counts for ten seconds."""

    def __init__(
        self,
        reviewer: AccessReviewer,
        *,
        always_allow_paths: Iterable[str],
        monotonic: Callable[[], float],
        waiting: Waiting,
    ) -> None:
        """Ask `reviewer`; a path of `always_allow_paths` that ends in `*` stands for all that begin so."""
        self._reviewer = reviewer
        paths = list(always_allow_paths)
        self._paths = frozenset(path for path in paths if not path.endswith("*"))
        self._prefixes = tuple(path[:-1] for path in paths if path.endswith("*"))
        self._decisions: ReviewCache[tuple[UserInfo, RequestInfo], Decision] = ReviewCache(
            "requests",
            size=_CACHED,
            verified=lambda key, _: is_verified(key[0]),
            monotonic=monotonic,
            waiting=waiting,
            characters=_characters,
        )

    def authorize(self, user: UserInfo, info: RequestInfo, *, may_wait: bool = True) -> None:
        """Let a request pass.

        Raises ForbiddenError, ServiceUnavailableError where the cluster does not say, and WouldWaitError where it would
        have to be asked and this must not wait.
        """
        if self.always_allows(info) or MASTERS in user.groups:
            return
        asker = user.name if is_verified(user) else None
        decision = self._decisions.get((user, info), lambda: self._review(user, info), asker=asker, may_wait=may_wait)
        if not decision.allowed:
            raise _forbidden(user, info, decision.reason)

    def always_allows(self, info: RequestInfo) -> bool:
        """Return whether everybody may, whoever it is."""
        return not info.is_resource and (info.path in self._paths or info.path.startswith(self._prefixes))

    def _review(self, user: UserInfo, info: RequestInfo) -> Decision:
        try:
            return self._reviewer.review(access_review(user, info))
        except ClusterError as error:
            raise ServiceUnavailableError(
                "the cluster cannot tell whether this is allowed", cause=str(error)
            ) from error


def _characters(key: tuple[UserInfo, RequestInfo]) -> int:
    user, info = key
    return characters(user) + sum(len(field) for field in info if isinstance(field, str))


def access_review(user: UserInfo, info: RequestInfo) -> dict[str, Any]:
    """Return the SubjectAccessReviewSpec of a request."""
    spec: dict[str, Any] = {
        "user": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in sorted(user.extra.items())},
    }
    spec = {key: value for key, value in spec.items() if value}
    if not info.is_resource:
        return {**spec, "nonResourceAttributes": {"path": info.path, "verb": info.verb}}
    attributes: dict[str, Any] = {
        "verb": info.verb,
        "group": info.group,
        "version": info.version,
        "namespace": info.namespace,
        "resource": info.resource,
        "subresource": info.subresource,
        "name": info.name,
        "labelSelector": {"rawSelector": info.label_selector} if info.label_selector else None,
        "fieldSelector": {"rawSelector": info.field_selector} if info.field_selector else None,
    }
    return {**spec, "resourceAttributes": {key: value for key, value in attributes.items() if value}}


def _forbidden(user: UserInfo, info: RequestInfo, reason: str) -> ForbiddenError:
    """Return the refusal in the reference's words (k8s.io/apiserver `responsewriters`, apimachinery `NewForbidden`)."""
    sentence = _sentence(user, info).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if reason:
        sentence += f": {reason}"
    if not info.is_resource:
        return ForbiddenError(f"forbidden: {sentence}", details={})
    what = f"{info.resource}.{info.group}" if info.group else info.resource
    name = f" {quoted(info.name)}" if info.name else ""
    details = {"name": info.name, "group": info.group, "kind": info.resource}
    return ForbiddenError(
        f"{what}{name} is forbidden: {sentence}", details={key: value for key, value in details.items() if value}
    )


def _sentence(user: UserInfo, info: RequestInfo) -> str:
    begin = f"User {quoted(user.name)} cannot {info.verb}"
    if not info.is_resource:
        return f"{begin} path {quoted(info.path)}"
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    scope = f"in the namespace {quoted(info.namespace)}" if info.namespace else "at the cluster scope"
    return f"{begin} resource {quoted(resource)} in API group {quoted(info.group)} {scope}"
