"""The tokens that the cluster accepted lately: they are reviewed ahead of tokens that anybody can make up."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from cachetools import LRUCache, TTLCache

__all__ = ["AcceptedTokens"]

_SECONDS = 3600.0
_TOKENS = 4096
# One user may have as many valid tokens as it asks for: they must not drive out those of everybody else.
_TOKENS_OF_ONE_USER = 64


class AcceptedTokens:
    """Remembers for an hour who a token's user was, by the token's keyed hash.

    That gives a token no right: it is reviewed as often as any other.
    """

    def __init__(
        self, monotonic: Callable[[], float], *, tokens: int = _TOKENS, each: int = _TOKENS_OF_ONE_USER
    ) -> None:
        """Keep so many tokens at most, and so many of each user."""
        self._names: TTLCache[bytes, str] = TTLCache(tokens, _SECONDS, timer=monotonic)
        self._of_user: LRUCache[str, deque[bytes]] = LRUCache(tokens)
        self._each = each
        self._lock = threading.Lock()

    def name(self, key: bytes) -> str | None:
        """Return the name of the user whose token it was, None for a stranger's."""
        with self._lock:
            return self._names.get(key)

    def add(self, key: bytes, name: str) -> None:
        """Remember an accepted token; of one user's the oldest makes room."""
        with self._lock:
            if self._names.get(key) != name:
                keys = self._of_user.setdefault(name, deque())
                keys.append(key)
                if len(keys) > self._each:
                    self._names.pop(keys.popleft(), None)
            self._names[key] = name

    def discard(self, key: bytes) -> None:
        """Forget a token that was refused."""
        with self._lock:
            self._names.pop(key, None)
