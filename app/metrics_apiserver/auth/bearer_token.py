"""Bearer tokens: the cluster says whose they are, and what it said is kept for a moment."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from metrics_apiserver.auth.accepted_tokens import AcceptedTokens
from metrics_apiserver.auth.front_proxy import HeaderPairs, wire_text
from metrics_apiserver.auth.review_cache import ReviewCache
from metrics_apiserver.auth.user import authenticated, is_verified
from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.kube.client import ClusterError
from metrics_apiserver.model.users import UserInfo

__all__ = ["BearerTokens", "ReviewedUser", "TokenReviewer", "bearer_token"]

_CACHED = 4096


class ReviewedUser(Protocol):
    """A user as the cluster describes it."""

    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def extra(self) -> Mapping[str, tuple[str, ...]]: ...


class TokenReviewer(Protocol):
    """Asks the cluster whose a token is; `metrics_apiserver.kube.reviews` fits it."""

    def review(self, token: str, audiences: Sequence[str]) -> ReviewedUser | None:
        """Return the user, None for a bad token. Raises ClusterError when the cluster gives no answer."""


class BearerTokens:
    """Asks the cluster whose a token is, once in ten seconds for each; a token itself is kept nowhere."""

    def __init__(
        self,
        reviewer: TokenReviewer,
        *,
        audiences: Sequence[str],
        monotonic: Callable[[], float],
        waiting: Waiting,
    ) -> None:
        self._reviewer = reviewer
        self._audiences = tuple(audiences)
        # Nobody who reads this process's memory later can try tokens against the keys without it.
        self._secret = secrets.token_bytes(32)
        # In a tuple: (None,) is a no, which is kept as well as a yes.
        self._users: ReviewCache[bytes, tuple[UserInfo | None]] = ReviewCache(
            "tokens", size=_CACHED, verified=lambda _, found: found[0] is not None, monotonic=monotonic, waiting=waiting
        )
        self._accepted = AcceptedTokens(monotonic)

    def user(self, token: str, *, may_wait: bool = True) -> UserInfo | None:
        """Return the token's user, None where it is no good.

        Raises ServiceUnavailableError, and WouldWaitError where only the cluster knows and this must not wait.
        """
        key = self._key(token)
        asker = self._accepted.name(key)
        return self._users.get(key, lambda: self._review(token, key), asker=asker, may_wait=may_wait)[0]

    def _key(self, token: str) -> bytes:
        return hmac.digest(self._secret, token.encode("utf-8"), "sha256")

    def _review(self, token: str, key: bytes) -> tuple[UserInfo | None]:
        try:
            found = self._reviewer.review(token, self._audiences)
        except ClusterError as error:
            raise ServiceUnavailableError("the cluster cannot tell whose the token is", cause=str(error)) from error
        if found is None or not found.name:
            self._accepted.discard(key)
            return (None,)
        user = authenticated(found.name, uid=found.uid, groups=found.groups, extra=found.extra)
        if is_verified(user):
            self._accepted.add(key, user.name)
        return (user,)


def bearer_token(pairs: HeaderPairs) -> str | None:
    """Return the request's token; another scheme is none, and of several Authorization fields the first counts.

    Raises ValueError for one that is not UTF-8.
    """
    value = next((value for key, value in pairs if key == "AUTHORIZATION"), "")
    # One space: of two the reference takes what is between them, which is nothing (its `bearertoken`).
    scheme, *rest = value.strip(" \t").split(" ", 2)
    return wire_text(rest[0]) or None if rest and scheme.lower() == "bearer" else None
