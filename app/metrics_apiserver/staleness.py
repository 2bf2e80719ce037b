"""What is followed, a cluster's objects and files, and whether it is still in touch with what it follows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from metrics_apiserver.concurrency import Background

__all__ = ["STALE_SECONDS", "Followed", "Following", "Stale"]

# As long as a hiccup may last before anybody hears of it.
STALE_SECONDS = 60.0
_LOOK_SECONDS = 5.0
_JOIN_SECONDS = 1.0
_CAUSE_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Stale:
    """One followed thing that is stale: for how many seconds it has not been in touch, and why, if that is known."""

    name: str
    seconds: float
    cause: str

    def __str__(self) -> str:
        return f"{self.name} (for {self.seconds:.0f} s: {self.cause or 'nothing was heard'})"


class Followed:
    """One thing that is followed; threads of its own tell it how that goes.

    It is in touch while what it follows answers: a moment for a read that went well, longer where the next one is due
    later only, or where a watch is open, which may be silent for as long as it lasts. It is *stale* when it was not in
    touch for more than a minute, or when what it found could not be taken over for more than a minute, so that
    something older is in use. It begins in touch, and has a minute to prove it.
    """

    def __init__(self, name: str, monotonic: Callable[[], float]) -> None:
        self.name = name
        self._monotonic = monotonic
        self._until = monotonic()
        self._refused_since: float | None = None
        self._cause = self._refusal = ""

    def in_touch(self, seconds: float = 0.0) -> None:
        """Take note of an answer, which stands for so many seconds from now."""
        self._until, self._cause = self._monotonic() + seconds, ""

    def out_of_touch(self, cause: str) -> None:
        """Take note of a failure; the first one in a row ends what stood."""
        self._until, self._cause = min(self._until, self._monotonic()), cause[:_CAUSE_LENGTH]

    def refused(self, problem: str | None) -> None:
        """Take note of why what was found is not in use; None when it is."""
        if problem is None:
            self._refused_since, self._refusal = None, ""
        else:
            self._refused_since = self._monotonic() if self._refused_since is None else self._refused_since
            self._refusal = problem[:_CAUSE_LENGTH]

    def stale(self) -> Stale | None:
        """Return for how long and why it is stale; None while it is not."""
        now, refused = self._monotonic(), self._refused_since
        silent, old = now - self._until, 0.0 if refused is None else now - refused
        if max(silent, old) <= STALE_SECONDS:
            return None
        return Stale(self.name, silent, self._cause) if silent > old else Stale(self.name, old, self._refusal)


class Following:
    """All that is followed; the log has what gets stale, once, and once when it is in touch again.

    `start` begins to look; a thread of its own does, because what hangs cannot say so.
    """

    def __init__(self, monotonic: Callable[[], float], logger: logging.Logger) -> None:
        self._monotonic = monotonic
        self._logger = logger
        self._lock = threading.Lock()
        self._followed: dict[Followed, None] = {}
        self._said: set[Followed] = set()
        self._background = Background("followed", self._turn, logger=logger)

    def follow(self, name: str) -> Followed:
        """Begin to follow something."""
        followed = Followed(name, self._monotonic)
        with self._lock:
            self._followed[followed] = None
        return followed

    def forget(self, followed: Followed) -> None:
        """Follow it no longer."""
        with self._lock:
            self._followed.pop(followed, None)
            self._said.discard(followed)

    def ages(self) -> dict[str, float]:
        """Return for how many seconds each followed thing has been stale or out of touch, 0 for what is not stale.

        Of several with one name the worst counts.
        """
        found: dict[str, float] = {}
        for followed in self._all():
            stale = followed.stale()
            found[followed.name] = max(found.get(followed.name, 0.0), stale.seconds if stale else 0.0)
        return found

    def stale(self) -> list[Stale]:
        """List what is stale, in the order in which it was begun."""
        return [stale for followed in self._all() if (stale := followed.stale()) is not None]

    def remark(self) -> str | None:
        """Say what is stale in one line; None when nothing is."""
        found = self.stale()
        return f"stale: {'; '.join(map(str, found))}" if found else None

    def look(self) -> None:
        """Say what has become stale, and what is in touch again; each once."""
        for followed in self._all():
            stale = followed.stale()
            if stale is not None and followed not in self._said:
                self._said.add(followed)
                self._logger.warning("%s is stale, and what is known of it stays in use: %s", followed.name, stale)
            elif stale is None and followed in self._said:
                self._said.discard(followed)
                self._logger.info("%s is in touch again", followed.name)

    def start(self) -> None:
        """Begin to look; once."""
        self._background.start()

    def stop(self) -> None:
        """Look no longer."""
        self._background.stop(_JOIN_SECONDS)

    def _turn(self) -> float:
        self.look()
        return _LOOK_SECONDS

    def _all(self) -> list[Followed]:
        with self._lock:
            return list(self._followed)
