"""What authentication knows of a user besides its name: whether it has proved who it is, and Kubernetes' own users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from metrics_apiserver.model.users import UserInfo

__all__ = ["ANONYMOUS", "MASTERS", "authenticated", "characters", "is_verified"]

_ANONYMOUS = "system:anonymous"
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
# The group that may do everything, whatever the cluster says or does not say.
MASTERS = "system:masters"

ANONYMOUS = UserInfo(_ANONYMOUS, groups=(_UNAUTHENTICATED,))


def authenticated(
    name: str, *, uid: str = "", groups: Sequence[str] = (), extra: Mapping[str, Iterable[str]] | None = None
) -> UserInfo:
    """Return a user who has proved who it is: one of `system:authenticated` too.

    The anonymous user, of whom a front proxy tells as of any other, is not.
    """
    if name != _ANONYMOUS and _AUTHENTICATED not in groups and _UNAUTHENTICATED not in groups:
        groups = (*groups, _AUTHENTICATED)
    return UserInfo(name, uid, tuple(groups), {key: tuple(values) for key, values in (extra or {}).items()})


def is_verified(user: UserInfo) -> bool:
    """Return whether a user has proved who it is; the anonymous user has not, whoever tells of it."""
    return user.name != _ANONYMOUS and _UNAUTHENTICATED not in user.groups


def characters(user: UserInfo) -> int:
    """Return how many characters a user consists of: what it takes to keep it."""
    extra = sum(len(key) + sum(map(len, values)) for key, values in user.extra.items())
    return len(user.name) + len(user.uid) + sum(map(len, user.groups)) + extra
