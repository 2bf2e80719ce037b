"""Follows the files of client CAs: on one thread, which reads them again when something happens in their folders."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import watchfiles

__all__ = ["FileFollower"]

# So often they are read whatever the kernel tells: a change behind a link, or on a network's file system, is silent.
_SECONDS = 1.0
_JOIN_SECONDS = 2.0


class FileFollower:
    """Calls `changed` soon after one of some files has changed, and also when none has."""

    def __init__(self, files: Iterable[str], changed: Callable[[], None], logger: logging.Logger) -> None:
        self._folders = sorted({Path(file).absolute().parent for file in files})
        self._changed = changed
        self._logger = logger
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="client-ca-files", daemon=True)

    def start(self) -> None:
        """Start to follow, if there is a file; once."""
        if self._folders:
            self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for it no longer than a moment."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except OSError as error:
                # A folder may be away for a while, and be another one when it is back.
                self._logger.debug("client certificates: the folder of a CA file cannot be watched: %s", error)
            except Exception:
                # The thread must outlive a mistake of ours: nobody would start it again.
                self._logger.exception("client certificates: the CA files could not be followed")
            if not self._stopping.wait(_SECONDS):
                self._changed()

    def _follow(self) -> None:
        for _ in watchfiles.watch(
            *self._folders,
            watch_filter=None,
            debounce=100,
            step=20,
            rust_timeout=round(_SECONDS * 1000),
            yield_on_timeout=True,
            stop_event=self._stopping,
            recursive=False,
            raise_interrupt=False,
        ):
            self._changed()
