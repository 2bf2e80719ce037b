"""How much we ask of the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["TokenBucket"]


class TokenBucket:
    """Lets `burst` requests through at once and `qps` a second in the long run; whoever is too early waits in line."""

    def __init__(self, qps: float, burst: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._qps = qps
        self._burst = float(burst)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._closed = threading.Event()
        # Below zero it counts those who wait.
        self._tokens = self._burst
        self._filled = monotonic()

    def take(self, timeout: float) -> bool:
        """Wait for a turn; False at once if it would take longer than `timeout` seconds, or when it is closed."""
        with self._lock:
            now = self._monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._qps)
            self._filled = now
            wait = max(0.0, (1 - self._tokens) / self._qps)
            if wait > timeout:
                return False
            self._tokens -= 1
        return not self._closed.wait(wait)

    def close(self) -> None:
        """Send those who wait away, and whoever comes later."""
        self._closed.set()
