"""Follows files: on one thread, which looks at them again when something happens in their folders."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import watchfiles

from metrics_apiserver.concurrency import Background
from metrics_apiserver.staleness import Followed

__all__ = ["FileFollower"]

_INTERVAL_SECONDS = 1.0
_STEP_MILLISECONDS = 20
_JOIN_SECONDS = 2.0


class FileFollower:
    """Calls `changed` soon after one of some files has changed, and also when none has.

    A text that it gives says why what the files hold is not in use; `followed` is told of it, and that somebody looks.
    `name` is the thread's, and says in the log what is followed; `step` is how long a change may have company (ms).
    After `interval` they are read whatever the kernel tells: a change behind a link, or on a network's file system, is
    silent.
    """

    def __init__(
        self,
        files: Iterable[str | Path],
        changed: Callable[[], str | None],
        logger: logging.Logger,
        *,
        name: str,
        interval: float = _INTERVAL_SECONDS,
        step: int = _STEP_MILLISECONDS,
        followed: Followed | None = None,
    ) -> None:
        self._followed = followed
        self._folders = sorted({Path(file).absolute().parent for file in files})
        self._changed = changed
        self._logger = logger
        self._name = name
        self._interval = interval
        self._step = step
        self._background = Background(
            name,
            self._turn,
            logger=logger,
            failure=f"{name}: a change could not be looked at",
            mistaken=self._mistaken,
        )

    def start(self) -> None:
        """Start to follow, if there is a file; once."""
        if self._folders:
            # It tells of every change at the level of our own news.
            logging.getLogger("watchfiles").setLevel(logging.WARNING)
            self._background.start()

    def stop(self, seconds: float = _JOIN_SECONDS) -> None:
        """Stop, and wait for it no longer than this."""
        self._background.stop(seconds)

    def _turn(self) -> float:
        """Look at the files at every change, and once where their folders cannot be followed."""
        for _ in self._changes():
            self._look()
        if not self._background.stopping.is_set():
            self._look()
        return self._interval

    def _look(self) -> None:
        problem = self._changed()
        if self._followed is not None:
            self._followed.in_touch()
            self._followed.refused(problem)

    def _mistaken(self, _error: BaseException) -> float:
        if self._followed is not None:
            self._followed.out_of_touch("a change could not be looked at")
        return self._interval

    def _changes(self) -> Iterator[object]:
        """Tell of every change, and of every interval without one."""
        try:
            yield from watchfiles.watch(
                *self._folders,
                watch_filter=None,
                debounce=5 * self._step,
                step=self._step,
                rust_timeout=round(self._interval * 1000),
                yield_on_timeout=True,
                stop_event=self._background.stopping,
                recursive=False,
                raise_interrupt=False,
            )
        except (OSError, RuntimeError) as error:  # the library's own error is the latter, and not exported
            # A folder may be away for a while, and be another one when it is back.
            self._logger.debug("%s: a folder cannot be watched: %s", self._name, error)
