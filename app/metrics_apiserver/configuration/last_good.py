"""What a new worker begins with, when the file of --config has changed since the server started.

A worker that cannot begin would be the end of gunicorn's master, and so of a server that serves. It tries, in this
order: what the file holds now, all of it; what the worker before it took over last, or what the server was started
with, as far as that can begin: a provider that cannot is away. As long as no worker has served all has to be right.

The master reads and checks the configuration once, before the fork, and hands it on with the process. What a worker
takes over later it leaves for the next one in memory that all of them share.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

from metrics_apiserver.configuration.reading import load, read
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.settings import Settings, SettingsError
from metrics_apiserver.yaml_values import MOST_BYTES, read_bounded

__all__ = ["Candidate", "LastGood", "begin", "has_served", "keep", "remember", "remembered", "served"]

T_co = TypeVar("T_co", covariant=True)

# Whether a worker has served; of the content its length, and its SHA-256, by which half a write is found out.
_HEADER = struct.Struct("<?Q32s")

logger = logging.getLogger("metrics_apiserver")


class Candidate(NamedTuple):
    """What a worker may begin with; `called` is its name in the log, "" for what the file holds."""

    called: str
    settings: Settings
    # Whether those of its providers that cannot be built may be away.
    some: bool = False


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
        self._memory[: _HEADER.size] = _HEADER.pack(self.has_served, len(content), hashlib.sha256(content).digest())

    @property
    def has_served(self) -> bool:
        """Whether a worker has served since the start."""
        return bool(self._memory[0])

    def served(self) -> None:
        """Remember that a worker serves."""
        self._memory[0] = 1

    def kept(self) -> bytes | None:
        """Return the content that was kept last; None where there is none, or only a part of it."""
        _served, length, digest = _HEADER.unpack(self._memory[: _HEADER.size])
        content = self._memory[_HEADER.size : _HEADER.size + min(length, MOST_BYTES)]
        return content if length and hashlib.sha256(content).digest() == digest else None

    def candidates(self) -> Iterator[Candidate]:
        """Return what a worker may begin with, the best first."""
        origin = self.start.origin
        # The master has checked what it read.
        now = _content(origin.path) if origin.path else origin.content
        settings, problems = (self.start, []) if now in (None, origin.content) else load(origin.environ, now)
        if now is not None and not problems:
            yield Candidate("", settings)
        if self.has_served:
            yield self._last()
        elif now != origin.content:
            yield Candidate("that of the start", self.start)

    def _last(self) -> Candidate:
        """Return what was in use last. What it names was right then, and is not looked at again."""
        kept, origin = self.kept(), self.start.origin
        if kept is not None:
            settings, problems = (self.start, []) if kept == origin.content else read(origin.environ, kept)
            if not problems:
                return Candidate("what was taken over last", settings, some=True)
        return Candidate("that of the start", self.start, some=True)


# For the process: gunicorn reads its configuration as a module, and loads the application as another one.
_last_good: list[LastGood] = []


def remember(settings: Settings) -> None:
    """Hand these settings on to the workers; in the master, before the fork."""
    _last_good[:] = [LastGood(settings)]


def keep(content: bytes) -> None:
    """Keep the content of the file that is in use now, for the next worker."""
    for last_good in _last_good:
        last_good.keep(content)


def served() -> None:
    """Remember that a worker serves: whoever comes after it begins with what it can."""
    for last_good in _last_good:
        last_good.served()


def remembered() -> bool:
    """Return whether the master has read the settings: gunicorn runs with this server's configuration."""
    return bool(_last_good)


def has_served() -> bool:
    """Return whether a worker has served since the server started."""
    return any(last_good.has_served for last_good in _last_good)


class Make(Protocol[T_co]):
    """Makes the application of settings, as `create_app` does."""

    def __call__(self, settings: Settings, /, *, restarting: bool, some: bool) -> T_co:
        """Raise ProviderError, or ValueError, where it cannot be made."""


def begin(environ: Mapping[str, str], make: Make[T_co]) -> T_co:
    """Make the application of the best settings of which it can be made.

    Raises SettingsError where another server than gunicorn loads the application and the configuration is wrong, and
    what `make` raises (ProviderError, ValueError) where none will do: of what the file holds.
    """
    if not _last_good:
        settings, problems = load(environ)
        if problems:
            raise SettingsError(problems)
        return make(settings, restarting=False, some=False)
    errors: list[ProviderError | ValueError] = []
    for called, settings, some in _last_good[0].candidates():
        try:
            made = make(settings, restarting=has_served(), some=some)
        except (ProviderError, ValueError) as error:
            errors.append(error)
            continue
        if errors and settings.origin == _last_good[0].start.origin:
            logger.error("this worker begins with what it can: %s", errors[0])
        elif called:
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
