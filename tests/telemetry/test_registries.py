"""What providers count themselves, of several instances in one text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from app.telemetry import Telemetry


class Failing(Collector):
    """Cannot say what it has counted."""

    def collect(self) -> Iterator[Metric]:
        raise RuntimeError("bug")

    def describe(self) -> Iterator[Metric]:
        yield from ()


def registry_with(value: float, **labels: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    gauge = Gauge("depth", "How deep.", list(labels), registry=registry)
    (gauge.labels(**labels) if labels else gauge).set(value)
    return registry


def lines(telemetry: Telemetry, name: str) -> list[str]:
    return [line for line in telemetry.render().decode().splitlines() if name in line]


def test_each_metric_is_there_once_with_the_samples_of_all() -> None:
    telemetry = Telemetry(CollectorRegistry())
    telemetry.registries.replace({"a": registry_with(1), "b": registry_with(2, queue="x")})
    assert lines(telemetry, "depth") == [
        "# HELP depth How deep.",
        "# TYPE depth gauge",
        'depth{provider="a"} 1.0',
        'depth{provider="b",queue="x"} 2.0',
    ]


def test_label_of_its_own_stays() -> None:
    """An author who counts by provider means another one."""
    telemetry = Telemetry(CollectorRegistry())
    telemetry.registries.replace({"a": registry_with(1, provider="upstream")})
    assert lines(telemetry, "depth{") == ['depth{provider="upstream"} 1.0']


def test_counters_and_histograms_are_whole() -> None:
    registry = CollectorRegistry()
    Counter("reads", "Reads.", registry=registry).inc()
    Histogram("seconds", "Time.", buckets=[1], registry=registry).observe(0.5)
    telemetry = Telemetry(CollectorRegistry())
    telemetry.registries.replace({"a": registry})
    assert lines(telemetry, "reads_total{") == ['reads_total{provider="a"} 1.0']
    assert lines(telemetry, "seconds_bucket{") == [
        'seconds_bucket{le="1.0",provider="a"} 1.0',
        'seconds_bucket{le="+Inf",provider="a"} 1.0',
    ]


def test_registry_that_fails_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    broken = CollectorRegistry()
    broken.register(Failing())
    telemetry = Telemetry(CollectorRegistry())
    telemetry.registries.replace({"a": broken, "b": registry_with(2)})
    assert lines(telemetry, "depth{") == ['depth{provider="b"} 2.0']
    assert "provider a: its own metrics cannot be read" in caplog.text


def test_replaced_registries_are_gone() -> None:
    telemetry = Telemetry(CollectorRegistry())
    telemetry.registries.replace({"a": registry_with(1)})
    telemetry.registries.replace({"b": registry_with(2)})
    assert lines(telemetry, "depth{") == ['depth{provider="b"} 2.0']
