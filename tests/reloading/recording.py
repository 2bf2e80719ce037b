"""A kind of provider that notes what happens to it, and does what the test says."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from marshmallow import fields
from prometheus_client import Counter

from app import registry
from app.provider import (
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    Options,
    ProviderContext,
    Quantity,
    RequestContext,
    Selector,
)
from app.registry import OfferedProvider

__all__ = ["Journal", "RecordingProvider"]


class RecordingOptions(Options):
    value = fields.Integer(load_default=1)
    fault = fields.String(load_default="")


class Journal:
    """All providers of the kind `recording`: the events in their order, and what some of them wait for."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.built: list[RecordingProvider] = []
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
        if options["fault"] == "build":
            raise RuntimeError("no backend")
        self._journal = journal
        self._reads = Counter("recorded_reads", "Reads.", registry=context.registry)
        journal.built.append(self)

    def _note(self, event: str) -> None:
        self._journal.events.append(f"{event} {self.options['value']}")

    def start(self) -> None:
        self._note("start")
        if self.options["fault"] == "start":
            raise RuntimeError("no connection")
        if self.options["fault"] == "hang in start":
            self._journal.released.wait()

    def stop(self) -> None:
        self._note("stop")
        if self.options["fault"] == "stop":
            raise RuntimeError("already gone")

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
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
