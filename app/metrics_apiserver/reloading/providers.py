"""The providers that are asked now, from their start to their stop, and how others take their place."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from metrics_apiserver.concurrency import Background, Backoff
from metrics_apiserver.concurrency.budget import SharedRoom
from metrics_apiserver.discovery import Discovery, Listed
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.errors import described
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.registry import ConfiguredProvider, ProviderError
from metrics_apiserver.reloading.calls import Calls, HangingError, Subject
from metrics_apiserver.reloading.instances import make_instances
from metrics_apiserver.reloading.leaving import Leaving, Left
from metrics_apiserver.settings import ProviderSettings
from metrics_apiserver.telemetry import Telemetry

__all__ = [
    "RunningProviders",
]

# How long a provider may take to be built, and to start, when others are asked in its place meanwhile.
START_SECONDS = 30.0
# How long all of them may take at the server's start. gunicorn's master ends a worker that has not begun after 30.
FIRST_START_SECONDS = 25.0
# Calls of replaced providers that have not come back, each of which keeps a thread; with more nothing is replaced.
MOST_LEFT_BEHIND = 64
# What else may be there of providers that were stopped, beyond what the server had at its start and its own pools.
MOST_MORE_THREADS = 256
# When a provider that is away is tried again.
_AWAY = Backoff(5.0, 60.0)

logger = logging.getLogger("metrics_apiserver")


class RunningProviders:
    """Starts and stops the providers, and replaces them while they are asked; nothing runs before `start`."""

    def __init__(
        self,
        providers: Sequence[ConfiguredProvider],
        instances: Sequence[Instance],
        *,
        router: Router,
        discovery: Discovery,
        telemetry: Telemetry,
        clock: Clock,
        build: Callable[[ProviderSettings], ConfiguredProvider],
        leave_away: Callable[[ProviderSettings, str], ConfiguredProvider] | None = None,
        waiting: SharedRoom,
        seconds: float,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Make it, of those that the router and discovery have already.

        `waiting` is the room of their instances, `seconds` how long a read may go on with old ones, and `start_seconds`
        how long a new one may take to start. `leave_away` makes what stands in the place of one that does not start
        with the server; None where the server does not begin then.
        """
        self._providers = list(providers)
        self._instances = list(instances)
        self.router = router
        self.discovery = discovery
        self._telemetry = telemetry
        self._clock = clock
        self._build = build
        self._leave_away = leave_away
        self._waiting = waiting
        self._seconds = seconds
        self.start_seconds = start_seconds
        self._calls = Calls(clock)
        self._leaving = Leaving(self._end, seconds)
        # Instances that were replaced while reads hung in them.
        self._closed: list[Instance] = []
        # How many the process had after the start.
        self._threads = threading.active_count()
        # Who made the last replacement fail.
        self._suspect = ""
        self._show_metrics()
        telemetry.hanging.watch(self._calls.hanging)
        telemetry.hanging.watch(self._hanging_reads)
        # Held for a moment only: neither a provider's code nor a wait is inside.
        self._lock = threading.Lock()
        self._ended = threading.Event()
        # Held by whoever replaces providers, as long as that takes: the thread of the file, or that of those away.
        self._replacing = threading.Lock()
        self._tries = 0
        self._background = Background("away-providers", self._try_again, logger=logger)
        telemetry.away.watch(lambda: [each.name for each in self._providers if each.away])

    @property
    def now(self) -> list[ConfiguredProvider]:
        """The providers that are asked now, in their order."""
        return self._providers

    @property
    def instances(self) -> list[Instance]:
        """Their instances, in the same order."""
        return self._instances

    def start(self) -> None:
        """Start every provider.

        Raises ProviderError where one fails to, or hangs; the others are stopped then. Where the server has served
        before, it is away instead.
        """
        deadline = time.monotonic() + FIRST_START_SECONDS
        try:
            providers = [self._start_first(each, deadline) for each in self._providers]
        except ProviderError:
            self._stop_each(reversed(self._providers), FIRST_START_SECONDS / 10)
            raise
        if providers != self._providers:
            self._swap(providers)
        self._threads = threading.active_count()
        if any(each.away for each in providers):
            self._background.start()

    def _start_first(self, configured: ConfiguredProvider, deadline: float) -> ConfiguredProvider:
        """Start a provider, and return what serves in its place then."""
        try:
            self._start(configured, min(self.start_seconds, deadline - time.monotonic()))
        except ProviderError as error:
            if self._leave_away is None:
                raise
            self._stop_each([configured], FIRST_START_SECONDS / 10)
            return self._leave_away(configured.settings, str(error))
        return configured

    def _try_again(self) -> float | None:
        """Try those that are away, one after the other; return when to look again, None where all serve."""
        self._tries += 1
        if self._tries == 1:
            # It has just been tried.
            return _AWAY.seconds(1)
        for name in [each.name for each in self._providers if each.away]:
            with self._replacing:
                wanted = [each.settings for each in self._providers]
                try:
                    if self._replace(wanted, only=name):
                        logger.info("provider %s serves again", name)
                except ProviderError as error:
                    logger.debug("provider %s is away still: %s", name, error)
        return _AWAY.seconds(self._tries) if any(each.away for each in self._providers) else None

    def stop(self, seconds: float) -> None:
        """Stop every provider; one that fails to stop, or hangs, does not keep the others running."""
        with self._lock:
            self._ended.set()
            providers = list(reversed(self._providers))
        self._background.stop()
        deadline = time.monotonic() + seconds
        for left in self._leaving.stop():
            providers += left.providers
            self._close(left.instances)
        self._stop_each(providers, seconds)
        self._leaving.join(max(0.0, deadline - time.monotonic()))

    def replace(self, wanted: Sequence[ProviderSettings]) -> bool:
        """Ask these instead, once all that are new have started; False where the server is stopping.

        An instance whose settings are the same goes on as it is, and one whose kind and options are the same keeps its
        provider. Raises ProviderError where one cannot be built or started, or hangs; nothing has changed then, and
        what was built is stopped again.
        """
        with self._replacing:
            return self._replace(wanted)

    def _replace(self, wanted: Sequence[ProviderSettings], *, only: str | None = None) -> bool:
        begun: list[ConfiguredProvider] = []
        try:
            self._refuse_too_many()
            providers = self._begin(wanted, begun, only)
        except Exception:
            self._undo(reversed(begun))
            raise
        if not self._swap(providers):
            self._undo(reversed(begun))
            return False
        return True

    def _begin(
        self, wanted: Sequence[ProviderSettings], begun: list[ConfiguredProvider], only: str | None
    ) -> list[ConfiguredProvider]:
        """Build and start those that are not there yet, each of which is in `begun` from its beginning.

        Of those that are away all are, or `only` this one.
        """
        before = {each.name: each for each in self._providers if not each.away or only not in (None, each.name)}
        providers = [_kept(before.get(settings.name), settings) for settings in wanted]
        fresh = [number for number, configured in enumerate(providers) if configured is None]
        for number in fresh:
            self._calls.refuse_repeated(_subject(wanted[number]))
        # Who failed the last time comes first and alone: while it fails, the others are not begun again and again.
        fresh.sort(key=lambda number: wanted[number].name != self._suspect)
        suspect, self._suspect = self._suspect, ""
        for number in fresh:
            self._suspect_while(wanted[number], partial(self._build_one, providers, number, wanted[number], begun))
            if wanted[number].name == suspect:
                self._suspect_while(wanted[number], partial(self._start, begun[0], self.start_seconds))
        for configured in begun:
            if configured.name != suspect:
                self._suspect_while(configured.settings, partial(self._start, configured, self.start_seconds))
        return [configured for configured in providers if configured is not None]

    def _suspect_while(self, settings: ProviderSettings, step: Callable[[], None]) -> None:
        self._suspect = settings.name
        step()
        self._suspect = ""

    def _build_one(
        self,
        providers: list[ConfiguredProvider | None],
        number: int,
        settings: ProviderSettings,
        begun: list[ConfiguredProvider],
    ) -> None:
        def late(built: list[ConfiguredProvider]) -> None:
            self._undo(built)

        configured = self._calls.run(
            "build", _subject(settings), partial(self._build, settings), self.start_seconds, late=late
        )
        providers[number] = configured
        begun.append(configured)

    def _start(self, configured: ConfiguredProvider, seconds: float) -> None:
        def late(_result: list[Any]) -> None:
            # It was stopped already, and may have gone on to start something.
            self._undo([configured])

        subject = _subject(configured.settings)
        try:
            self._calls.run("start", subject, configured.provider.start, seconds, late=late)
        except ProviderError:
            raise
        except Exception as error:
            raise ProviderError(f"{subject.failure}: {described(error)}") from error

    def _swap(self, providers: list[ConfiguredProvider]) -> bool:
        """Have these asked from now on, and the others leave; False where the server is stopping."""
        with self._lock:
            if self._ended.is_set():
                return False
            old_providers, old_instances = self._providers, self._instances
            instances = make_instances(
                providers, old_instances, waiting=self._waiting, telemetry=self._telemetry, clock=self._clock
            )
            self._providers, self._instances = providers, instances
            self.router.replace(instances)
            self.discovery.replace([Listed(each.name, each.provider, each.lists, each.learn) for each in instances])
            self._show_metrics()
        left = Left(_without(old_providers, providers), [each for each in old_instances if each not in instances])
        if left.providers or left.instances:
            self._leaving.add(left)
        return True

    def _refuse_too_many(self) -> None:
        """Raise HangingError where so much is left of what was replaced that more of it could use up the process."""
        hanging = [*self._calls.hanging(), *self._hanging_reads(), *self.discovery.left_behind()]
        if len(hanging) >= MOST_LEFT_BEHIND:
            names = ", ".join(sorted({name for name, _ in hanging}))
            raise HangingError(
                f"nothing is replaced: {len(hanging)} calls of providers that were replaced hang, of {names}; wait"
                " until they have come back, or restart the server"
            )
        allowed = self._threads + sum(each.settings.concurrency for each in self._instances) + MOST_MORE_THREADS
        threads = threading.enumerate()
        if len(threads) > allowed:
            names = ", ".join(name for name, _ in Counter(_kind_of(thread) for thread in threads).most_common(3))
            raise HangingError(
                f"nothing is replaced: the process has {len(threads)} threads, and had {self._threads} after its start:"
                f" what providers began does not end when they are stopped ({names}); restart the server"
            )

    def _hanging_reads(self) -> list[tuple[str, str]]:
        closed = [instance for instance in self._closed if instance.load().slots_in_use]
        self._closed = closed
        return [(instance.name, "read") for instance in closed for _ in range(instance.load().slots_in_use)]

    def _show_metrics(self) -> None:
        self._telemetry.registries.replace({each.name: each.metrics for each in self._providers})

    def _end(self, left: Left) -> None:
        """End what nobody is sent to any more."""
        self._close(left.instances)
        with self._lock:
            self._telemetry.providers.retain({instance.name for instance in self._instances})
        self._stop_each(left.providers, self._seconds)

    def _undo(self, begun: Iterable[ConfiguredProvider]) -> None:
        """Stop what never was asked. Where that hangs, its like is not begun again."""
        self._stop_each(begun, self._seconds, again=False)

    def _close(self, instances: Iterable[Instance]) -> None:
        for instance in instances:
            instance.close()
            if instance.load().slots_in_use:
                self._closed = [*self._closed, instance]

    def _stop_each(self, providers: Iterable[ConfiguredProvider], seconds: float, *, again: bool = True) -> None:
        """Stop these at once; what they raise is logged, and who hangs is left behind.

        `again`: whether their like may be begun while they hang, as where one goes back to what was replaced.
        """
        deadline = time.monotonic() + seconds
        stopping = []
        for each in providers:
            subject = _subject(each.settings)
            if again:
                subject = dataclasses.replace(subject, key=None)
            try:
                stopping.append((each.name, self._calls.begin("stop", subject, each.provider.stop)))
            except ProviderError as error:
                logger.warning("provider %s cannot be stopped: %s", each.name, error)
        for name, call in stopping:
            try:
                self._calls.wait(call, deadline - time.monotonic())
            except HangingError:
                logger.warning("provider %s has not stopped within %g s: it is left behind", name, seconds)
            except Exception:
                logger.exception("provider %s failed to stop", name)


def _kept(before: ConfiguredProvider | None, settings: ProviderSettings) -> ConfiguredProvider | None:
    """Return the provider that is there already, if it is the same but for how it is asked."""
    if before is None or (before.kind, before.settings.options) != (settings.kind, settings.options):
        return None
    return dataclasses.replace(before, settings=settings)


def _subject(settings: ProviderSettings) -> Subject:
    failure = f"provider {settings.name} ({settings.kind}) could not be started"
    return Subject(settings.name, failure, (settings.name, settings.kind, settings.options))


def _kind_of(thread: threading.Thread) -> str:
    """Return a thread's name without its number."""
    return thread.name.rstrip("0123456789") or thread.name


def _without(providers: Iterable[ConfiguredProvider], others: Iterable[ConfiguredProvider]) -> list[ConfiguredProvider]:
    known = {id(each.provider) for each in others}
    return [each for each in providers if id(each.provider) not in known]
