"""Who asks, as Kubernetes describes a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["UserInfo"]


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Who asks (upstream `user.Info`): a key of caches, whose hash is computed once, however many groups there are."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What else is known of the user, by keys in lower case."""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        extra = {key: tuple(values) for key, values in self.extra.items()}
        object.__setattr__(self, "extra", MappingProxyType(extra))
        object.__setattr__(self, "_hash", hash((self.name, self.uid, self.groups, tuple(sorted(extra.items())))))

    def __hash__(self) -> int:
        return self._hash
