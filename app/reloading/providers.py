"""The providers that are asked now, from their start to their stop, and how others take their place."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from app.budget import SharedRoom
from app.discovery import Discovery
from app.dispatch.bulkhead import share_of_threads
from app.dispatch.instance import Instance
from app.dispatch.router import Router
from app.model.clock import Clock
from app.registry import ConfiguredProvider, ProviderError
from app.settings import ProviderSettings
from app.settings.durations import Duration
from app.telemetry import Telemetry

__all__ = ["RunningProviders", "make_instances"]

# How long a provider may take to start, when others are asked in its place meanwhile.
START_SECONDS = 30.0

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
        waiting: SharedRoom,
        seconds: float,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Make it, of those that the router and discovery have already.

        `waiting` is the room of their instances, `seconds` how long a read may go on with old ones, and `start_seconds`
        how long a new one may take to start.
        """
        self._providers = list(providers)
        self._instances = list(instances)
        self._router = router
        self._discovery = discovery
        self._telemetry = telemetry
        self._clock = clock
        self._build = build
        self._waiting = waiting
        self._seconds = seconds
        self.start_seconds = start_seconds
        self._show_metrics()
        # Held for a moment only: neither a provider's code nor a wait is inside.
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._leaving: list[threading.Thread] = []

    @property
    def now(self) -> list[ConfiguredProvider]:
        """The providers that are asked now, in their order."""
        return self._providers

    @property
    def instances(self) -> list[Instance]:
        """Their instances, in the same order."""
        return self._instances

    def start(self) -> None:
        """Start every provider. Raises what a provider raises."""
        for configured in self._providers:
            configured.provider.start()

    def stop(self, seconds: float) -> None:
        """Stop every provider; one that fails to stop, or hangs, does not keep the others running."""
        with self._lock:
            self._ended.set()
            providers, leaving = list(reversed(self._providers)), self._leaving
        deadline = time.monotonic() + seconds
        self._stop_each(providers, seconds)
        for thread in leaving:
            thread.join(max(0.0, deadline - time.monotonic()))

    def replace(self, wanted: Sequence[ProviderSettings]) -> bool:
        """Ask these instead, once all that are new have started; False where the server is stopping.

        An instance whose settings are the same goes on as it is, and one whose kind and options are the same keeps its
        provider. Raises ProviderError where one cannot be built or started; nothing has changed then.
        """
        before = {configured.name: configured for configured in self._providers}
        providers, started = [], []
        try:
            for settings in wanted:
                providers.append(_kept(before.get(settings.name), settings) or self._build(settings))
            for configured in _without(providers, before.values()):
                started.append(configured)
                self._start(configured)
        except Exception:
            self._leave(started, [])
            raise
        with self._lock:
            swapped = not self._ended.is_set()
            if swapped:
                old_providers, old_instances = self._providers, self._instances
                instances = make_instances(
                    providers, old_instances, waiting=self._waiting, telemetry=self._telemetry, clock=self._clock
                )
                self._providers, self._instances = providers, instances
                self._router.replace(instances)
                self._discovery.replace([(each.name, each.provider) for each in providers])
                self._show_metrics()
        if not swapped:
            self._leave(started, [])
            return False
        gone = [each for each in old_instances if each not in instances]
        self._leave(_without(old_providers, providers), gone)
        return True

    def _show_metrics(self) -> None:
        self._telemetry.registries.replace({each.name: each.metrics for each in self._providers})

    def _start(self, configured: ConfiguredProvider) -> None:
        failures: list[Exception] = []

        def start() -> None:
            try:
                configured.provider.start()
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                failures.append(error)

        place = f"provider {configured.name} ({configured.kind}) could not be started"
        # A thread of its own: one that hangs must not keep every later configuration out as well.
        thread = threading.Thread(target=start, name=f"start-{configured.name}", daemon=True)
        thread.start()
        thread.join(self.start_seconds)
        if thread.is_alive():
            raise ProviderError(f"{place}: it takes longer than {Duration(self.start_seconds)}")
        if failures:
            raise ProviderError(f"{place}: {type(failures[0]).__name__}: {failures[0]}") from failures[0]

    def _leave(self, providers: Sequence[ConfiguredProvider], instances: Sequence[Instance]) -> None:
        """Stop these when no read can be under way in them any more, or with the server; waits for nothing."""
        if not providers and not instances:
            return

        def leave() -> None:
            self._ended.wait(self._seconds)
            for instance in instances:
                instance.close()
            self._stop_each(providers, self._seconds)

        thread = threading.Thread(target=leave, name="leaving-providers", daemon=True)
        thread.start()
        with self._lock:
            self._leaving = [*(each for each in self._leaving if each.is_alive()), thread]

    def _stop_each(self, providers: Iterable[ConfiguredProvider], seconds: float) -> None:
        stopping = [
            (each.name, threading.Thread(target=self._stop_one, args=(each,), name=f"stop-{each.name}", daemon=True))
            for each in providers
        ]
        for _, thread in stopping:
            thread.start()
        deadline = time.monotonic() + seconds
        for name, thread in stopping:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                logger.warning("provider %s has not stopped within %g s: it is left behind", name, seconds)

    def _stop_one(self, configured: ConfiguredProvider) -> None:
        try:
            configured.provider.stop()
        except Exception:
            logger.exception("provider %s failed to stop", configured.name)


def make_instances(
    providers: Sequence[ConfiguredProvider],
    before: Sequence[Instance] = (),
    *,
    waiting: SharedRoom,
    telemetry: Telemetry,
    clock: Clock,
) -> list[Instance]:
    """Make the instances that a router asks, in the same order; nothing is started.

    One of those before that has the same settings and the same provider goes on, with its cache and its state. All
    share the room `waiting`, also with those before that do not go on.
    """
    known = {id(instance.provider): instance for instance in before}
    instances = []
    for configured in providers:
        instance = known.get(id(configured.provider))
        if instance is None or instance.settings != configured.settings:
            instance = Instance(
                configured.settings,
                configured.provider,
                telemetry=telemetry.providers,
                clock=clock,
                logger=logger,
                waiting=waiting,
                # What anybody else's provider says of itself must not be able to stop the worker's loop.
                trusted=configured.shipped,
            )
        instances.append(instance)
    waited_for = [instance for instance in instances if instance.waits]
    waiting.divide(waited_for, each=share_of_threads(len(waited_for)))
    return instances


def _kept(before: ConfiguredProvider | None, settings: ProviderSettings) -> ConfiguredProvider | None:
    """Give the provider that is there already, if it is the same but for how it is asked."""
    if before is None or (before.kind, before.settings.options) != (settings.kind, settings.options):
        return None
    return dataclasses.replace(before, settings=settings)


def _without(providers: Iterable[ConfiguredProvider], others: Iterable[ConfiguredProvider]) -> list[ConfiguredProvider]:
    known = {id(each.provider) for each in others}
    return [each for each in providers if id(each.provider) not in known]
