"""Polls on real threads: what hangs leaves threads to the others, and all of them end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import (
    ServiceUnavailableError,
)
from metrics_apiserver.provider.functions import NAMESPACE_ALL, Metrics, every
from metrics_apiserver_providers.functions import FunctionsProvider
from tests.controlplane.waiting import wait_until
from tests.providers.functions.served import SECONDS, Served


def test_functions_that_hang_leave_threads_to_the_others(served: Served) -> None:
    """More of them than the pool has threads; each is started once, until it returns."""
    let_go, calls = threading.Event(), []

    def hang(name: str) -> Callable[[], int]:
        def function() -> int:
            calls.append(name)
            let_go.wait(60)
            return 1

        return function

    for number in range(12):
        served.metrics.add_metric(NAMESPACE_ALL, f"hang-{number}", every(seconds=0.2), hang(f"hang-{number}"))
    runs = []
    served.metrics.add_metric(NAMESPACE_ALL, "depth", every(seconds=0.1), lambda: runs.append(1) or len(runs))
    wait_until(lambda: len(runs) > 20, SECONDS, lambda: f"{len(runs)} runs")
    assert sorted(calls) == sorted(set(calls))
    with pytest.raises(ServiceUnavailableError, match=r"its function does not return within 0\.1 s"):
        served.external(metric=calls[0])
    count = "metrics_apiserver_function_strays"
    assert served.context.metrics_registry.get_sample_value(count, {"provider": "test"}) == 12
    let_go.set()
    wait_until(lambda: _value_or_reason(served, "hang-0") == ["1"], SECONDS, lambda: _value_or_reason(served, "hang-0"))


def _value_or_reason(served: Served, metric: str) -> Any:
    try:
        return served.external(metric=metric)
    except ServiceUnavailableError as error:
        return str(error)


def test_at_most_forty_threads_hang(served: Served) -> None:
    """32 have left, and 8 are the pool."""
    let_go = threading.Event()
    for number in range(60):
        served.metrics.add_metric(NAMESPACE_ALL, f"hang-{number}", every(seconds=0.1), lambda: let_go.wait(60))

    def threads() -> int:
        return sum(thread.name == "poll-test" for thread in threading.enumerate())

    wait_until(lambda: threads() == 40, SECONDS, lambda: f"{threads()} threads")
    assert (
        served.context.metrics_registry.get_sample_value("metrics_apiserver_function_strays", {"provider": "test"})
        == 32
    )
    let_go.set()
    wait_until(lambda: threads() == 8, SECONDS, lambda: f"{threads()} threads")


def test_first_polls_are_over_when_the_provider_has_started() -> None:
    """Of those that are quick; one that is slow is not waited for."""
    served, let_go = Served(SystemClock()), threading.Event()
    served.metrics.external("depth", trigger=every(minutes=1))(lambda: 1)
    served.metrics.external("slow", trigger=every(minutes=1))(lambda: let_go.wait(60) and None)
    try:
        served.provider.start()
        assert served.external() == ["1"]
        with pytest.raises(ServiceUnavailableError, match="external metric slow has no value yet"):
            served.external(metric="slow")
    finally:
        let_go.set()
        served.provider.stop()


def test_two_providers_count_apart_in_one_registry(served: Served) -> None:
    """As after a reload, when there are two for a moment."""
    FunctionsProvider(served.context, {"metrics": Metrics()})
    served.metrics.add_metric(NAMESPACE_ALL, "depth", every(minutes=1), lambda: 1)
    served.when_polled(served.external)
    labels = {"provider": "test", "result": "ok"}
    assert served.context.metrics_registry.get_sample_value("metrics_apiserver_function_polls_total", labels) == 1


def test_threads_end_with_the_provider(served: Served) -> None:
    before = set(threading.enumerate())
    other = Served(SystemClock())
    other.metrics.add_metric(NAMESPACE_ALL, "depth", every(minutes=1), lambda: 1)
    other.metrics.add_metric(NAMESPACE_ALL, "events", iter([1, 2]), lambda: 1)
    other.provider.start()
    assert other.when_polled(other.external) == ["1"]
    other.provider.stop()
    other.provider.stop()
    wait_until(
        lambda: set(threading.enumerate()) <= before, SECONDS, lambda: f"{set(threading.enumerate()) - before} are left"
    )
