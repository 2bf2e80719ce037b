"""How long the body of one request is waited for."""

from __future__ import annotations

import time

from metrics_apiserver.serving.waits import PeerTooSlowError

__all__ = ["Patience"]

# How long a body that is late goes on being read, as long as it is here.
_LATE_SECONDS = 1.0


class Patience:
    """The time that a peer has for one body; all in monotonic seconds.

    ```
    not begun ──first byte wanted──► until its deadline ──passed──► late: what is here is still read ──► refused
                                          │ `hurry`                                                         ▲
                                          └──► hurried: nothing is waited for, and nothing is read late ────┘
    ```
    """

    __slots__ = ("_deadline", "_hurried", "_late_seconds", "_late_since", "_waited_from")

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._late_since: float | None = None
        self._late_seconds = _LATE_SECONDS
        self._waited_from: float | None = None
        self._hurried = False

    def begin(self, seconds: float) -> float:
        """Return until when the body may be read: so many seconds from the first call on."""
        if self._deadline is None:
            self._deadline = time.monotonic() + seconds
        return self._deadline

    def hurry(self, seconds: float) -> None:
        """Wait for no more of the body, and read what is here for so long and not a moment more."""
        self._deadline, self._late_seconds, self._hurried = time.monotonic() + seconds, 0.0, True

    def judge(self, deadline: float) -> None:
        """Raise PeerTooSlowError where a peer is late, also if its data is always here.

        What was here when the time was over is still read: it may be this server that was held up.
        """
        now = time.monotonic()
        if now >= deadline:
            self._late_since = self._late_since or now
            if now - self._late_since >= self._late_seconds:
                raise PeerTooSlowError

    def waits(self, now: float) -> float:
        """Return since when the peer is waited for. Raises PeerTooSlowError where it is not waited for any more."""
        if self._hurried:
            raise PeerTooSlowError
        self._waited_from = self._waited_from or now
        return self._waited_from
