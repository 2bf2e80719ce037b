"""Every typical fault of a provider, what the client gets, and that another provider's reads go on meanwhile."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.errors import MetricNotFoundError, ServiceUnavailableError, StatusError
from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import ExternalMetricValue, Quantity
from metrics_apiserver.settings import BreakerSettings, MatchSettings, PolicySettings
from metrics_apiserver.telemetry import ProviderMetrics
from tests.controlplane.waiting import wait_until
from tests.dispatch.making import Gate, Scripted, instance, read_external, router, series
from tests.fakes import NOON, FakeClock

# Of the faulty provider; the other has all the rest.
FAULTY = (MatchSettings(metrics=("queue",)),)
HUGE = [ExternalMetricValue("queue", NOON, Quantity.of(1), {"number": str(number)}) for number in range(100_000)]


class Raising:
    """What a broken author's object may do when it is looked at."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, _: Any) -> Any:
        raise self.error


class Flapping:
    """Fails every second time."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, _: Any) -> Any:
        self.times += 1
        if self.times % 2:
            raise ServiceUnavailableError("not now")
        return series(42)


def half_way(_: Any) -> Any:
    """A generator that breaks while it is read."""
    yield from series(1)
    raise KeyError("a secret of the code")


def given(values: Any) -> Callable[[Any], Any]:
    return lambda _: values


def stale() -> list[ExternalMetricValue]:
    return [ExternalMetricValue("queue", NOON - timedelta(minutes=6), Quantity.of(1))]


def reads(asked: Router, times: int) -> list[Any]:
    """Read so often: the values, or the code of each."""
    results: list[Any] = []
    for _ in range(times):
        try:
            results.append(read_external(asked))
        except StatusError as error:
            results.append(error.code)
    return results


class OddError(StatusError):
    """What would begin another header field."""

    code = "404 Not Found\r\nSet-Cookie: a"  # type: ignore[assignment]


FAULTS = [
    pytest.param(given(series(42)), [["42"]] * 3, id="none"),
    pytest.param(Raising(KeyError("x")), [502, 502, 503], id="raises: after two failures it is down"),
    pytest.param(Raising(SystemExit(3)), [502, 502, 503], id="ends the program"),
    pytest.param(Raising(KeyboardInterrupt()), [502, 502, 503], id="raises as Ctrl-C does"),
    pytest.param(Raising(asyncio.CancelledError()), [502, 502, 503], id="raises as a cancelled task does"),
    pytest.param(Raising(GeneratorExit()), [502, 502, 503], id="raises as a generator does that is closed"),
    pytest.param(Raising(OddError("no")), [502, 502, 503], id="an error whose code cannot be sent"),
    pytest.param(half_way, [502, 502, 503], id="raises half-way"),
    pytest.param(Raising(ServiceUnavailableError("no")), [503, 503, 503], id="says that it is unavailable"),
    pytest.param(Raising(TimeoutError()), [504, 504, 503], id="gives up"),
    pytest.param(Raising(MetricNotFoundError("external", "queue")), [404] * 3, id="says that there is nothing"),
    pytest.param(given([]), [[]] * 3, id="empty"),
    pytest.param(lambda _: Quantity.of(float("inf")), [[]] * 3, id="infinite"),
    pytest.param(given(stale()), [[]] * 3, id="stale"),
    pytest.param(given(None), [502, 502, 503], id="nothing at all"),
    pytest.param(given({"": 1}), [502, 502, 503], id="wrong type"),
    pytest.param(given([1]), [502, 502, 503], id="items of a wrong type"),
    pytest.param(given(series(1) + series(2) + series(3, 4)), [["1", "4"]] * 3, id="duplicates"),
    pytest.param(given(HUGE), [["1"] * 100_000] * 3, id="100,000 items"),
    pytest.param(Flapping(), [503, ["42"], 503, ["42"]] * 2, id="flapping: never down, as it is back each time"),
]


@pytest.mark.parametrize(("does", "expected"), FAULTS)
def test_client_gets(does: Callable[[Any], Any], expected: list[Any]) -> None:
    """With a breaker of two failures and at most five minutes of age."""
    faulty = instance(Scripted(does), policy=PolicySettings(max_age=300), breaker=BreakerSettings(failures=2, reset=10))
    assert reads(router(faulty), len(expected)) == expected
    assert faulty.load().slots_in_use == faulty.load().waiting == 0
    faulty.close()


@pytest.mark.parametrize(("does", "expected"), FAULTS)
def test_other_provider_notices_nothing(does: Callable[[Any], Any], expected: list[Any]) -> None:
    """Its answers are its own, in between."""
    faulty = instance(Scripted(does), breaker=BreakerSettings(failures=2), match=FAULTY)
    other = instance(Scripted(given(series(7))), name="other")
    asked, quiet = router(faulty, other), router(other)
    for _ in expected:
        reads(asked, 1)
        assert read_external(quiet) == ["7"]
    assert other.load().breaker == "closed"
    faulty.close()
    other.close()


def test_hundred_hung_reads_leave_the_other_provider_alone() -> None:
    """Eighteen at the most wait for the metric that hangs, all others are told at once, and the other answers."""
    clock, gate = SystemClock(), Gate()
    hung = instance(Scripted(gate.hang), clock=clock, policy=PolicySettings(timeout=30), concurrency=3, match=FAULTY)
    other = instance(Scripted(given(series(7))), clock=clock, name="other")
    asked = router(hung, clock=clock, seconds=30)
    with ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(reads, asked, 1) for _ in range(100)]
        wait_until(
            lambda: sum(read.done() for read in waiting) == 82, 20, lambda: f"done: {sum(r.done() for r in waiting)}"
        )
        assert {tuple(read.result()) for read in waiting if read.done()} == {(503,)}
        assert hung.load()[:3] == (3, 1, 18)
        for _ in range(50):
            assert read_external(router(other, clock=clock)) == ["7"]
        gate.open()
        assert sum(read.result(10) == [["42"]] for read in waiting) == 18
    hung.close()
    other.close()


def test_hung_provider_takes_its_own_threads_only(caplog: pytest.LogCaptureFixture) -> None:
    """So many as it has slots, whatever is asked, and nobody is answered later than the deadline."""
    clock, gate = SystemClock(), Gate()
    before = set(threading.enumerate())
    hung = instance(Scripted(gate.hang), clock=clock, policy=PolicySettings(timeout=0.02), concurrency=3)
    asked = router(hung, clock=clock)
    with caplog.at_level(logging.ERROR):
        codes = [reads(asked, 1)[0] for _ in range(8)]
    assert codes == [504, 504, 504, 503, 503, 503, 503, 503]
    own = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("provider-slow")]
    assert len(own) == 3
    assert all(thread.daemon for thread in own)
    gate.open()
    hung.close()
    wait_until(lambda: not any(thread.is_alive() for thread in own), 10, lambda: "its threads have not ended")


def test_duplicates_are_warned_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the number of reads; they are counted as well."""
    clock, telemetry = FakeClock(), ProviderMetrics()
    doubling = Scripted(given(series(1) + series(2)), from_memory=True)
    asked = router(instance(doubling, clock=clock, telemetry=telemetry), clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            assert read_external(asked) == ["1"]
            clock.seconds += 20
    assert [record.getMessage() for record in caplog.records] == [
        "provider slow gives the same label sets twice for queue in the namespace shop: the first of each counts"
    ] * 2
    assert telemetry.figures("slow", "external").duplicates == 6


def test_bug_is_in_the_log_with_its_traceback_and_not_in_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The client learns the provider, the kind of error, and where to look."""
    asked = router(instance(Scripted(Raising(KeyError("a secret")), from_memory=True)))
    with caplog.at_level(logging.ERROR), pytest.raises(StatusError) as caught:
        read_external(asked)
    assert caught.value.message == (
        "provider slow raised KeyError for queue in the namespace shop; the server's log has it under the audit id test"
    )
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "a secret" in caplog.text


@pytest.mark.parametrize("policy", [PolicySettings(), PolicySettings(cache=60)], ids=["asked again", "from the cache"])
def test_samples_keep_their_own_time_and_window(policy: PolicySettings) -> None:
    """Nothing is stamped anew."""
    time = datetime.fromisoformat("2026-11-21T10:00:00+02:00")
    value = ExternalMetricValue("queue", time, Quantity.of(1), window_seconds=90)
    asked = router(instance(Scripted(given([value]), from_memory=True), policy=policy))
    query = EXTERNAL_METRICS_API.parse(("namespaces", "shop", "queue"), {})
    for _ in range(2):
        assert list(asked.read(query, audit_id="a")) == [value]
