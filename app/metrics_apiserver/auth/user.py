"""Who asks, as Kubernetes describes a user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["ANONYMOUS", "MASTERS", "User"]

_ANONYMOUS = "system:anonymous"
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
# The group that may do everything, whatever the cluster says or does not say.
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class User:
    """A user: a key of caches, so that the hash is computed once, however many groups there are."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    # Sorted by key.
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.name, self.uid, self.groups, self.extra)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def characters(self) -> int:
        """How many there are in it: what it takes to keep it."""
        extra = sum(len(key) + sum(map(len, values)) for key, values in self.extra)
        return len(self.name) + len(self.uid) + sum(map(len, self.groups)) + extra

    @property
    def verified(self) -> bool:
        """Whether it has proved who it is; the anonymous user has not, whoever tells of it."""
        return self.name != _ANONYMOUS and _UNAUTHENTICATED not in self.groups

    @classmethod
    def authenticated(
        cls, name: str, *, uid: str = "", groups: Sequence[str] = (), extra: Mapping[str, Iterable[str]] | None = None
    ) -> User:
        """Make a user who has proved who it is: one of `system:authenticated` too.

        The anonymous user, of whom a front proxy tells as of any other, is not.
        """
        if name != _ANONYMOUS and _AUTHENTICATED not in groups and _UNAUTHENTICATED not in groups:
            groups = (*groups, _AUTHENTICATED)
        sorted_extra = tuple(sorted((key, tuple(values)) for key, values in (extra or {}).items()))
        return cls(name, uid, tuple(groups), sorted_extra)


ANONYMOUS = User(_ANONYMOUS, groups=(_UNAUTHENTICATED,))
