"""A kind of provider that notes what happens to it, and does what the test says."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from marshmallow import fields
from prometheus_client import Counter

from metrics_apiserver import registry
from metrics_apiserver.provider import (
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    Options,
    ProviderContext,
    Quantity,
    RequestContext,
    Selector,
)
from metrics_apiserver.registry import OfferedProvider

__all__ = ["Journal", "RecordingProvider"]


_RAISED = {"build": "no backend", "start": "no connection", "stop": "already gone"}


class RecordingOptions(Options):
    value = fields.Integer(load_default=1)
    fault = fields.String(load_default="")
    # When it starts a thread of its own, which ends with the stop: "build" or "start".
    thread = fields.String(load_default="")


class Journal:
    """All providers of the kind `recording`: the events in their order, and what some of them wait for."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.built: list[RecordingProvider] = []
        # Every one that somebody still holds.
        self.alive: weakref.WeakSet[RecordingProvider] = weakref.WeakSet()
        self.released = threading.Event()

    @contextmanager
    def offered(self) -> Iterator[Journal]:
        """Make the kind known in this process."""
        registry.offer(
            OfferedProvider("recording", lambda *given: RecordingProvider(self, *given), RecordingOptions, "tests", "1")
        )
        try:
            yield self
        finally:
            self.released.set()
            registry.withdraw("recording")


class RecordingProvider(ExternalMetricsProvider):
    """Answers with its option `value`."""

    def __init__(self, journal: Journal, context: ProviderContext, options: Mapping[str, Any]) -> None:
        super().__init__(context, options)
        self._journal = journal
        self._ended = threading.Event()
        self._reads = Counter("recorded_reads", "Reads.", registry=context.metrics_registry)
        self._fail("build")
        if options["fault"] == "metrics":
            Counter("recorded_reads", "Reads.", registry=context.metrics_registry)
        journal.built.append(self)
        journal.alive.add(self)
        self._run_thread("build")

    def _note(self, event: str) -> None:
        self._journal.events.append(f"{event} {self.options['value']}")

    def _fail(self, place: str) -> None:
        fault = self.options["fault"]
        if fault == place:
            raise RuntimeError(_RAISED[place])
        if fault == f"exit in {place}":
            raise SystemExit(1)
        if fault == f"hang in {place}":
            self._note(fault)
            self._journal.released.wait()

    def _run_thread(self, place: str) -> None:
        if self.options["thread"] == place:
            threading.Thread(target=self._ended.wait, name="recording", daemon=True).start()

    def start(self) -> None:
        self._note("start")
        self._run_thread("start")
        self._fail("start")

    def stop(self) -> None:
        self._note("stop")
        self._ended.set()
        self._fail("stop")

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        self._fail("list")
        return [ExternalMetricInfo(f"recorded-{self.options['value']}")]

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        self._reads.inc()
        if info.metric == "slow":
            self._note("read")
            self._journal.released.wait()
        value = Quantity.of(self.options["value"])
        return [ExternalMetricValue(info.metric, self.context.clock.now(), value)]
