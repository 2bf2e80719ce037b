"""Shadows of small providers that do what a test tells them to."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.provider import Child, Provider, ProviderContext
from metrics_apiserver_providers.shadow import ShadowProvider
from tests.controlplane.waiting import wait_until
from tests.fakes import FakeClock, TableProvider, provider_context

MakeShadow = Callable[..., ShadowProvider]


class Told(TableProvider):
    """A table that can be told to hang when it is asked, started or stopped, and to fail."""

    def __init__(self, **table: Any) -> None:
        super().__init__(**table)
        self.deadlines: list[float] = []
        self.hanging = threading.Event()
        self.hanging.set()
        self.broken: Exception | None = None
        self.started = self.stopped = False

    def start(self) -> None:
        self.hanging.wait()
        if self.broken is not None:
            raise self.broken
        self.started = True

    def stop(self) -> None:
        self.stopped = True
        if self.broken is not None:
            raise self.broken

    def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
        self.deadlines.append(ctx.deadline)
        self.hanging.wait()
        return super().get_external_metric(ctx, namespace, metric_selector, info)


@pytest.fixture(name="clock")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(name="context")
def _context(clock: FakeClock) -> ProviderContext:
    return dataclasses.replace(
        provider_context("migration"), clock=clock, logger=logging.getLogger("metrics_apiserver.tests.shadow")
    )


@pytest.fixture(name="make_shadow")
def _make_shadow(context: ProviderContext) -> Iterator[MakeShadow]:
    """Make started shadows of two providers."""
    made: list[ShadowProvider] = []

    def make(first: Provider, second: Provider, *, start: bool = True, **options: Any) -> ShadowProvider:
        parts = {"first": {"kind": "constant"}, "second": {"kind": "constant"}}
        loaded: dict[str, Any] = dict(ShadowProvider.Options().load({**parts, **options}))
        loaded["first"], loaded["second"] = _part(first), _part(second)
        shadow = ShadowProvider(context, loaded)
        made.append(shadow)
        if start:
            shadow.start()
            shadow._starter.join(0 if isinstance(second, Told) and not second.hanging.is_set() else None)
        return shadow

    yield make
    for shadow in made:
        shadow.stop()


def _part(provider: Provider) -> Child:
    """A part whose class gives this very provider."""

    class Given(type(provider)):  # type: ignore[misc]
        def __new__(cls, *_: Any) -> Any:
            return provider

        def __init__(self, *_: Any) -> None:
            """Take nothing: the provider is there already."""

    return Child(Given, {})


def counts(registry: CollectorRegistry, provider: str = "migration") -> Mapping[str, float]:
    """Give what was counted, without zeros."""
    found = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == "metrics_apiserver_shadow_comparisons_total" and sample.labels["provider"] == provider:
                found[sample.labels["result"]] = sample.value
    return {result: value for result, value in found.items() if value}


def wait_for(registry: CollectorRegistry, total: float) -> Mapping[str, float]:
    """Wait until so many reads are counted."""
    wait_until(lambda: sum(counts(registry).values()) == total, 10, lambda: str(counts(registry)))
    return counts(registry)
