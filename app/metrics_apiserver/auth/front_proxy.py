"""The user whom a front proxy names in header fields (k8s.io/apiserver `headerrequest`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from metrics_apiserver.auth.user import authenticated
from metrics_apiserver.model.users import UserInfo

__all__ = ["HeaderPairs", "RequestHeaders", "wire_text"]

# The fields of a request as they came: names in upper case, values as Latin-1 text, repeated ones not joined.
HeaderPairs = Sequence[tuple[str, str]]

_WRONG_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """Which header fields a front proxy uses, and the common names that its certificate may have (no list: any)."""

    allowed_names: tuple[str, ...] = ()
    username: tuple[str, ...] = ()
    uid: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    extra_prefix: tuple[str, ...] = ()

    @classmethod
    def named(
        cls,
        *,
        allowed_names: Iterable[str],
        username: Iterable[str],
        uid: Iterable[str],
        group: Iterable[str],
        extra_prefix: Iterable[str],
    ) -> RequestHeaders:
        """Take the names as somebody wrote them.

        Blank names of header fields are none: as a prefix one would fit every field. Blank common names stay, since a
        list of nothing else is not the empty one that allows everybody.
        """
        headers = (
            tuple(name.strip().upper() for name in names if name.strip())
            for names in (username, uid, group, extra_prefix)
        )
        return cls(tuple(allowed_names), *headers)

    def allows(self, common_name: str) -> bool:
        """Return whether a certificate of this name may speak for others; one without a name only where any may."""
        return not self.allowed_names or (common_name != "" and common_name in self.allowed_names)

    def user(self, pairs: HeaderPairs) -> UserInfo | None:
        """Return the user of whom a trusted front proxy tells; None where it names none.

        Raises ValueError for a value that is not UTF-8.
        """
        name = _first(pairs, self.username)
        if not name:
            return None
        groups = [wire_text(value) for header in self.group for key, value in pairs if key == header and value]
        extra: dict[str, list[str]] = {}
        for prefix in self.extra_prefix:
            for key, value in pairs:
                if key.startswith(prefix):
                    extra.setdefault(_extra_key(key[len(prefix) :]), []).append(wire_text(value))
        return authenticated(name, uid=_first(pairs, self.uid), groups=groups, extra=extra)


def wire_text(value: str) -> str:
    """Read a value off the wire. Raises ValueError unless it is UTF-8."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8")


def _first(pairs: HeaderPairs, headers: Iterable[str]) -> str:
    """Return the first of these headers that has a value; of a repeated one the first value counts, even if empty."""
    for header in headers:
        value = next((value for key, value in pairs if key == header), "")
        if value:
            return wire_text(value)
    return ""


def _extra_key(encoded: str) -> str:
    """Decode the rest of a header's name; one that is wrongly encoded is taken as it is (Go's `url.PathUnescape`)."""
    key = wire_text(encoded).lower()
    if "%" not in key or _WRONG_ESCAPE.search(key):
        return key
    return unquote_to_bytes(key).decode("utf-8")
