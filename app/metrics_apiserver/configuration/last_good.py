"""What a new worker begins with, when the file of --config has changed since the server started.

A worker that cannot begin would be the end of gunicorn's master, and so of a server that serves. It tries, in this
order: what the file holds now; what the worker before it took over last; what the server was started with.

The master reads and checks the configuration once, before the fork, and hands it on with the process. What a worker
takes over later it leaves for the next one in memory that all of them share.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from metrics_apiserver.configuration.reading import load
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.settings import Settings, SettingsError
from metrics_apiserver.yaml_values import MOST_BYTES, read_bounded

__all__ = ["LastGood", "begin", "keep", "remember"]

T = TypeVar("T")

# Before the content: its length, and its SHA-256, by which half a write is found out.
_HEADER = struct.Struct("<Q32s")

logger = logging.getLogger("metrics_apiserver")


class LastGood:
    """The settings that the server was started with, and the content that a worker took over last.

    Made in the master; the memory is the same one in every worker. Two workers that write at the same moment, which
    takes a reload by signal beside one by the file, leave nothing.
    """

    def __init__(self, start: Settings) -> None:
        self.start = start
        # Pages that nobody writes to take no memory.
        self._memory = mmap.mmap(-1, _HEADER.size + MOST_BYTES)

    def keep(self, content: bytes) -> None:
        """Keep the content of the file that is in use now, for the next worker."""
        end = _HEADER.size + len(content)
        if end > len(self._memory):
            return
        self._memory[_HEADER.size : end] = content
        self._memory[: _HEADER.size] = _HEADER.pack(len(content), hashlib.sha256(content).digest())

    def kept(self) -> bytes | None:
        """Return the content that was kept last; None where there is none, or only a part of it."""
        length, digest = _HEADER.unpack(self._memory[: _HEADER.size])
        content = self._memory[_HEADER.size : _HEADER.size + min(length, MOST_BYTES)]
        return content if length and hashlib.sha256(content).digest() == digest else None

    def candidates(self) -> Iterator[tuple[str, Settings]]:
        """Return what a worker may begin with, the best first, and its name in the log: "" for what the file holds."""
        origin = self.start.origin
        tried: list[bytes | None] = [None]
        further = (("", _content(origin.path)), ("what was taken over last", self.kept())) if origin.path else ()
        for called, content in further:
            if content in tried:
                continue
            tried.append(content)
            # The master has checked what it read.
            settings, problems = (self.start, []) if content == origin.content else load(origin.environ, content)
            if not problems:
                yield called, settings
        if origin.content not in tried:
            yield "that of the start" if origin.path else "", self.start


# For the process: gunicorn reads its configuration as a module, and loads the application as another one.
_last_good: list[LastGood] = []


def remember(settings: Settings) -> None:
    """Hand these settings on to the workers; in the master, before the fork."""
    _last_good[:] = [LastGood(settings)]


def keep(content: bytes) -> None:
    """Keep the content of the file that is in use now, for the next worker."""
    for last_good in _last_good:
        last_good.keep(content)


def begin(environ: Mapping[str, str], make: Callable[[Settings], T]) -> T:
    """Make the application of the best settings of which it can be made.

    Raises SettingsError where another server than gunicorn loads the application and the configuration is wrong, and
    what `make` raises (ProviderError, ValueError) where none will do: of what the file holds.
    """
    if not _last_good:
        settings, problems = load(environ)
        if problems:
            raise SettingsError(problems)
        return make(settings)
    errors: list[ProviderError | ValueError] = []
    for called, settings in _last_good[0].candidates():
        try:
            made = make(settings)
        except (ProviderError, ValueError) as error:
            errors.append(error)
            continue
        if called:
            # What follows the file says why, as of any other wrong change.
            logger.warning("the configuration is wrong by now, and this worker goes on with %s", called)
        return made
    raise errors[0]


def _content(path: str) -> bytes | None:
    """Return what the file holds; None where that is nothing, or cannot be read."""
    try:
        content = read_bounded(path)
    except OSError:
        return None
    return content if content.strip() else None
