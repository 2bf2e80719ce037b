"""The end of a worker: how its time is shared out, and how it ends although somebody's thread does not.

gunicorn's master kills a worker when the graceful timeout is over, counted from the signal. So the requests get most of
that time, and the application a part of its own to stop in. Python would then wait for every thread of the pool, also
for one that hangs in a provider; a worker that still has such threads ends without waiting for them.
"""

from __future__ import annotations

import logging
import mmap
import os
import sys
import threading
import time

from metrics_apiserver import logs

__all__ = ["Reloads", "end", "end_share", "requests_share", "stop_share"]

logger = logging.getLogger("metrics_apiserver")


def requests_share(graceful_timeout: int) -> int:
    """Return the seconds that requests under way have: four fifths, and a second less at least."""
    return max(0, graceful_timeout - max(1, graceful_timeout // 5))


def stop_share(graceful_timeout: int) -> float:
    """Return the seconds that the application has to stop."""
    return 0.6 * max(1, graceful_timeout // 5)


def end_share(graceful_timeout: int) -> float:
    """Return the seconds that threads with nothing left to do have to end."""
    return 0.2 * max(1, graceful_timeout // 5)


def end(seconds: float) -> None:
    """End the process here if threads would keep it longer than this; come back if not, so that it ends as usual."""
    deadline = time.monotonic() + seconds
    kept = [
        thread for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon
    ]
    for thread in kept:
        thread.join(max(0.0, deadline - time.monotonic()))
    names = sorted(thread.name for thread in kept if thread.is_alive())
    if not names:
        return
    logger.warning("the worker ends without waiting for what still runs: %s", ", ".join(names))
    logs.flush()
    # On its way out: gunicorn leaves with SystemExit, and the master takes 3 and 4 for a failed start.
    ending = sys.exception()
    code = ending.code if isinstance(ending, SystemExit) and isinstance(ending.code, int) else 0
    os._exit(code)


class Reloads:
    """Counts the reloads (SIGHUP), in memory that the master shares with its workers.

    A worker that is told to stop learns from it whether another has taken its place already.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def count(self) -> int:
        """How many there have been."""
        return int.from_bytes(self._memory[:8], "little")

    def begin(self) -> None:
        """Count one more, before the next worker."""
        self._memory[:8] = (self.count + 1).to_bytes(8, "little")
