"""What providers count themselves, of several instances in one text."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from metrics_apiserver.concurrency.budget import SCRAPES
from metrics_apiserver.telemetry import Telemetry
from tests.auth.making import Gate


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


class Hanging(Failing):
    """Does not say what it has counted before it is let go."""

    def __init__(self) -> None:
        self.gate = Gate()

    def collect(self) -> Iterator[Metric]:
        self.gate.pass_through()
        yield from ()


def test_few_threads_wait_for_what_providers_count(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever comes after them reads all that is the server's own, at once."""
    telemetry, hanging, registry = Telemetry(CollectorRegistry()), Hanging(), CollectorRegistry()
    registry.register(hanging)
    telemetry.registries.replace({"a": registry, "b": registry_with(2)})
    with ThreadPoolExecutor(SCRAPES) as pool:
        scrapes = [pool.submit(lines, telemetry, "depth{") for _ in range(SCRAPES)]
        hanging.gate.wait_for(SCRAPES)
        assert lines(telemetry, "depth{") == []
        assert lines(telemetry, "config_last_reload_successful ") != []
        assert "provider a: its own metrics are left out" in caplog.text
        hanging.gate.open()
        assert [each.result(20) for each in scrapes] == [['depth{provider="b"} 2.0']] * SCRAPES
    assert lines(telemetry, "depth{") == ['depth{provider="b"} 2.0']
