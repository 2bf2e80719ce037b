"""Follows the file of --config: what is right is taken over while the server runs, what is wrong is kept out."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from metrics_apiserver.configuration import load
from metrics_apiserver.files import FileFollower
from metrics_apiserver.logs.hiding import hide_secrets
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.reloading.calls import Calls, Subject
from metrics_apiserver.settings import Origin, Problem, ProviderSettings, Settings
from metrics_apiserver.settings.sections import rows_of
from metrics_apiserver.staleness import Following
from metrics_apiserver.telemetry import Telemetry
from metrics_apiserver.yaml_values import read_bounded

__all__ = ["ConfigurationFile"]

# A file is looked at again until it has stood still for so long: an editor empties it before it writes.
_SETTLE_SECONDS = 0.1
_SETTLE_TRIES = 50
# What was refused may be right by now, though it has not changed: a file that it names, a backend that was away. The
# pause grows to half of the time for which it has been wrong.
_AGAIN_SECONDS, _MOST_AGAIN_SECONDS = 10.0, 120.0
# How long the check may take, which imports providers: code of anybody.
_CHECK_SECONDS = 60.0
_STOP_SECONDS = 0.3
# A probe's line is read by people.
_LONGEST_REASON = 300
# A line of the log, too; `validate` says them all.
_MOST_LOGGED = 50


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What the file holds and is not used (None: there is no file), why, since when, and when to look again.

    `shown` is what a probe's reader is told: anybody may read it, and what a provider raises may quote a password.
    """

    content: bytes | None
    problems: tuple[str, ...]
    shown: str
    since: datetime
    # In monotonic seconds: when this content was first refused, and when it is tried again.
    begun: float
    again: float


class ConfigurationFile:
    """The configuration in use, and the file beside it; `start` follows it, if there is one.

    All happens on one thread of its own, also the building and starting of providers.
    """

    def __init__(
        self,
        settings: Settings,
        replace: Callable[[Sequence[ProviderSettings]], bool],
        *,
        telemetry: Telemetry,
        clock: Clock,
        logger: logging.Logger,
        following: Following | None = None,
        keep: Callable[[bytes], None] = lambda _content: None,
    ) -> None:
        """Make it; `replace` has other providers asked, and raises ProviderError where it cannot.

        `keep` gets what the file holds each time it is in use: what a server would begin with that finds it wrong.
        """
        origin = settings.origin
        # Without what is large, and what the providers have.
        self._settings = dataclasses.replace(settings, providers=(), origin=Origin())
        self._environ = origin.environ
        self._load = load
        self._replace = replace
        self._keep = keep
        self._calls = Calls(clock)
        self._telemetry = telemetry
        self._clock = clock
        self._logger = logger
        self.path = origin.path
        self._content = origin.content
        self._since = clock.now()
        self._refusal: _Refusal | None = None
        self._taking_over = ""
        self._stopping = threading.Event()
        self._followed = following.follow("the file of --config") if following is not None and self.path else None
        self._follower = FileFollower(
            [self.path] if self.path else [],
            self.look,
            logger,
            name="configuration",
            followed=self._followed,
        )
        telemetry.config_timestamp.set(self._since.timestamp())
        telemetry.hanging.watch(self._calls.hanging)

    def start(self) -> None:
        """Begin to follow the file; once."""
        if self.path:
            self._keep(self._content)
        self._follower.start()

    def stop(self) -> None:
        """Take over nothing any more."""
        self._stopping.set()
        self._follower.stop(_STOP_SECONDS)

    def status(self) -> str:
        """Return which configuration is in use, since when, and what was refused or is being taken over."""
        parts = [f"{self.path} is in use since {_written(self._since)}"]
        if self._taking_over:
            parts.append(f"a newer one is being taken over since {self._taking_over}")
        refusal = self._refusal
        if refusal is not None:
            reason = hide_secrets(refusal.shown)[:_LONGEST_REASON]
            more = f" (and {len(refusal.problems) - 1} more)" if len(refusal.problems) > 1 else ""
            parts.append(f"a newer one was refused at {_written(refusal.since)}: {reason}{more}")
        return "; ".join(parts)

    @property
    def refused(self) -> bool:
        """Whether the file's content is not in use, because something is wrong with it."""
        return self._refusal is not None

    def look(self) -> str | None:
        """Look at the file once, and take over what is new and right; return why what it holds is not in use."""
        content = self._read()
        if content == self._content:
            # Also where a wrong one was taken back.
            self._refusal = None
            self._telemetry.config_successful.set(1)
        elif not self._refused_already(content) and not self._stopping.is_set():
            self._taking_over = _written(self._clock.now())
            if self._followed is not None and self._refusal is None:
                # Providers may take long to start, and this thread is silent meanwhile: so it says why before.
                self._followed.refused("a newer one is being taken over")
                self._followed.in_touch()
            try:
                problems, shown = self._take_over(content)
            finally:
                self._taking_over = ""
            if problems:
                self._refuse(content, tuple(problems), shown or problems[0])
        return None if self._refusal is None else hide_secrets(self._refusal.shown)

    def _read(self) -> bytes | None:
        """Read the file as soon as it stands still; None where there is nothing to read."""
        try:
            content = read_bounded(self.path)
            for _ in range(_SETTLE_TRIES if content != self._content else 0):
                before = content
                if self._stopping.wait(_SETTLE_SECONDS):
                    break
                content = read_bounded(self.path)
                if content == before:
                    break
        except OSError:
            return None
        return content

    def _refused_already(self, content: bytes | None) -> bool:
        refusal = self._refusal
        if refusal is None or refusal.content != content:
            return False
        return self._clock.monotonic() < refusal.again

    def _take_over(self, content: bytes | None) -> tuple[list[str], str]:
        """Use what the file holds now; return what is wrong with it, and the sentence for who may not see the cause."""
        if content is None:
            return [f"{self.path}: there is no such file, or it cannot be read"], ""
        if not content.strip():
            return [f"{self.path}: there is nothing in it"], ""
        try:
            settings, problems = self._check(content)
            if problems or not self._replace(settings.providers):
                return [str(problem) for problem in problems], ""
        except ProviderError as error:
            begin, _colon, _raised = str(error).partition(": ")
            return [str(error)], f"{begin}; the log says why"
        except Exception as error:
            self._logger.exception("%s could not be taken over", self.path)
            return [f"{self.path} could not be taken over: {type(error).__name__}"], ""
        self._use(content, settings)
        return [], ""

    def _check(self, content: bytes) -> tuple[Settings, list[Problem]]:
        """Check the content as the start does. Raises HangingError, and ProviderError where it ends its thread."""
        subject = Subject("", f"{self.path} could not be checked", content)
        check = partial(self._load, self._environ, content)
        checked: tuple[Settings, list[Problem]] = self._calls.run("check", subject, check, _CHECK_SECONDS)
        return checked

    def _use(self, content: bytes, settings: Settings) -> None:
        self._content, self._since, self._refusal = content, self._clock.now(), None
        self._keep(content)
        self._telemetry.config_successful.set(1)
        self._telemetry.config_timestamp.set(self._since.timestamp())
        names = ", ".join(f"{each.name} ({each.kind})" for each in settings.providers)
        self._logger.info("the configuration was taken over from %s: the providers are %s", self.path, names)
        if changed := list(_changed(self._settings, settings)):
            self._logger.warning(
                "%s: only providers change while the server runs; restart it for: %s", self.path, ", ".join(changed)
            )

    def _refuse(self, content: bytes | None, problems: tuple[str, ...], shown: str) -> None:
        before, now = self._refusal, self._clock.now()
        seconds = self._clock.monotonic()
        same = before is not None and before.content == content
        told = before is not None and same and before.problems == problems
        since = before.since if before is not None and told else now
        begun = before.begun if before is not None and same else seconds
        pause = min(_MOST_AGAIN_SECONDS, max(_AGAIN_SECONDS, (seconds - begun) / 2))
        if not told:
            more = f"; and {len(problems) - _MOST_LOGGED} more" if len(problems) > _MOST_LOGGED else ""
            self._logger.warning(
                "the new configuration is refused, and the old one stays in use: %s%s",
                "; ".join(problems[:_MOST_LOGGED]),
                more,
            )
        self._refusal = _Refusal(content, problems, shown, since, begun, seconds + pause)
        self._telemetry.config_successful.set(0)


def _changed(before: Settings, after: Settings) -> Iterator[str]:
    """Name the settings that are others now, as the file names them."""
    for section in dataclasses.fields(Settings):
        if not section.compare or section.name == "providers":
            continue
        old, new = getattr(before, section.name), getattr(after, section.name)
        yield from (row.key for row in rows_of(type(old)) if getattr(old, row.name) != getattr(new, row.name))


def _written(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
