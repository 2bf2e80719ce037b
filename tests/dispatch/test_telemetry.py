"""What `/metrics` says of providers: how loaded they are, and what came of the reads."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from metrics_apiserver.errors import GatewayTimeoutError, ServiceUnavailableError
from metrics_apiserver.settings import BreakerSettings, PolicySettings
from metrics_apiserver.telemetry import ProviderMetrics
from tests.controlplane.waiting import wait_until
from tests.dispatch.making import OF_QUEUE, ZERO, Gate, Scripted, ask, instance, read_external, request, router, series
from tests.fakes import NOON, FakeClock

PREFIX = "metrics_apiserver_provider_"


def shown(telemetry: ProviderMetrics) -> dict[tuple[str, ...], float]:
    """Give what is there: (name without the prefix, values of the labels) → value; buckets are left out."""
    registry = CollectorRegistry()
    registry.register(telemetry)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples if not sample.name.endswith("_bucket")]
    assert all(sample.name.startswith(PREFIX) for sample in samples)
    order = ("provider", "api", "reason", "cause")
    return {
        (sample.name.removeprefix(PREFIX), *(sample.labels[label] for label in order if label in sample.labels)): (
            sample.value
        )
        for sample in samples
    }


def test_what_came_of_the_reads() -> None:
    """By provider and API; never by metric, whose names clients choose."""
    clock, telemetry = FakeClock(), ProviderMetrics()
    clock.time = NOON + timedelta(seconds=90)
    given = [series(1), [], ServiceUnavailableError("no")]

    def answer(_: object) -> object:
        clock.seconds += 0.25
        if isinstance(outcome := given.pop(0), Exception):
            raise outcome
        return outcome

    policy = PolicySettings(cache=1, on_error=ZERO)
    asked = router(
        instance(Scripted(answer, from_memory=True), policy=policy, clock=clock, telemetry=telemetry), clock=clock
    )
    for seconds in (0, 1, 1, 0):
        read_external(asked)
        clock.seconds += seconds
    found = shown(telemetry)
    of_series = {key[0]: value for key, value in found.items() if key[1:] == ("slow", "external")}
    assert of_series == {
        "calls_total": 3,
        "call_duration_seconds_count": 3,
        "call_duration_seconds_sum": 0.75,
        "cache_hits_total": 1,
        "shared_calls_total": 0,
        "duplicates_total": 0,
        "sample_age_seconds_count": 2,
        "sample_age_seconds_sum": 180,
    }
    assert {key: value for key, value in found.items() if len(key) == 4} == {
        ("empty_total", "slow", "external", "no_sample"): 1,
        ("errors_total", "slow", "external", "unavailable"): 1,
        ("substituted_total", "slow", "external", "error"): 1,
    }


def test_how_loaded_they_are() -> None:
    """A late call keeps its slot, and a metric that fails is counted."""
    telemetry, gate = ProviderMetrics(), Gate()
    hung = instance(
        Scripted(gate.hang),
        policy=PolicySettings(timeout=0.02),
        breaker=BreakerSettings(failures=2),
        concurrency=5,
        telemetry=telemetry,
    )

    def load() -> dict[str, float]:
        return {key[0]: value for key, value in shown(telemetry).items() if len(key) == 2}

    assert load() == {"slots": 5, "slots_in_use": 0, "waiting": 0, "breaker_state": 0, "refused_metrics": 0}
    asked = router(hung)
    for _ in range(2):
        with pytest.raises(GatewayTimeoutError, match=r"has not answered within 0\.02 s"):
            read_external(asked)
    assert load() == {"slots": 5, "slots_in_use": 2, "waiting": 0, "breaker_state": 0, "refused_metrics": 1}
    gate.open()
    wait_until(lambda: load()["slots_in_use"] == 0, 10, lambda: f"{load()}")
    hung.close()
    assert load() == {}


def test_figures_go_on_when_an_instance_is_replaced() -> None:
    """The old one, which is closed after the new one was made, takes nothing along."""
    telemetry = ProviderMetrics()
    clock = FakeClock()
    old, new = (instance(Scripted(lambda _: series(1), from_memory=True), telemetry=telemetry) for _ in range(2))
    for each in (old, new):
        ask(each, OF_QUEUE, request(clock))
    old.close()
    found = shown(telemetry)
    assert found["calls_total", "slow", "external"] == 2
    assert found["slots", "slow"] == 8
