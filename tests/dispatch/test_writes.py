"""Values are written within the bounds of reads: a provider that hangs holds few threads, and none for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.errors import BadGatewayError, GatewayTimeoutError, RequestTooLargeError, ServiceUnavailableError
from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import (
    CustomMetricInfo,
    ExternalMetricInfo,
    NamespacedName,
    Quantity,
    RequestContext,
    WritableMetrics,
)
from metrics_apiserver.settings import PolicySettings
from tests.controlplane.waiting import wait_until
from tests.dispatch.making import CART, Gate, Scripted, instance, router, series
from tests.fakes import info

ONE = Quantity.of(1)
PATIENT, QUICK = PolicySettings(timeout=30), PolicySettings(timeout=0.05)
WRITES: dict[str, Callable[[Router], None]] = {
    "a value of an object": lambda to: to.write_custom(CART, info("pods", "rps"), {"a": "b"}, ONE, audit_id="test"),
    "a value of an object is forgotten": lambda to: to.delete_custom(CART, info("pods", "rps"), audit_id="test"),
    "an external value": lambda to: to.write_external(
        "shop", ExternalMetricInfo("queue"), {"a": "b"}, ONE, audit_id="test"
    ),
    "an external value is forgotten": lambda to: to.delete_external(
        "shop", ExternalMetricInfo("queue"), {"a": "b"}, audit_id="test"
    ),
}


class Written(Scripted, WritableMetrics):
    """Does the same at every write, and remembers what it was told, and on which thread."""

    def __init__(self, does: Callable[[], Any], *, from_memory: bool = False) -> None:
        super().__init__(lambda _: series(1), from_memory=from_memory)
        self.write = does
        self.told: list[tuple[Any, ...]] = []
        self.threads: set[threading.Thread] = set()

    def _take(self, *told: Any) -> None:
        self.threads.add(threading.current_thread())
        self.write()
        self.told.append(told)

    def set_metric(
        self,
        ctx: RequestContext,
        name: NamespacedName,
        info: CustomMetricInfo,
        labels: Mapping[str, str],
        value: Quantity,
    ) -> None:
        self._take(name, info.metric, labels, value)

    def delete_metric(self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo) -> None:
        self._take(name, info.metric)

    def set_external_metric(
        self, ctx: RequestContext, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        self._take(namespace, info.metric, labels, value)

    def delete_external_metric(
        self, ctx: RequestContext, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str]
    ) -> None:
        self._take(namespace, info.metric, labels)


def raising(error: BaseException) -> Callable[[], None]:
    def write() -> None:
        raise error

    return write


def routed(asked: Instance) -> Router:
    return router(asked, clock=SystemClock(), seconds=30)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("name", list(WRITES))
def test_a_write_reaches_the_provider(name: str, trusted: bool) -> None:
    """On the request's own thread only where it is known that nobody waits."""
    provider = Written(lambda: None, from_memory=True)
    asked = instance(provider, policy=PATIENT, trusted=trusted)
    WRITES[name](routed(asked))
    assert len(provider.told) == 1
    assert (provider.threads == {threading.current_thread()}) is trusted
    asked.close()


@pytest.mark.parametrize("from_memory", [False, True], ids=["slow", "said to answer from memory"])
@pytest.mark.parametrize("name", list(WRITES))
def test_nobody_waits_for_a_write_for_ever(name: str, from_memory: bool) -> None:
    gate = Gate()
    provider = Written(lambda: gate.hang(None), from_memory=from_memory)
    asked = instance(provider, policy=QUICK, concurrency=2)
    for _ in range(2):
        with pytest.raises(GatewayTimeoutError, match=r"provider slow has not taken the value within 0\.05 s"):
            WRITES[name](routed(asked))
    # Late ones keep their slots.
    with pytest.raises(ServiceUnavailableError, match="provider slow is busy: 2 calls of it are under way"):
        WRITES[name](routed(asked))
    gate.open()
    wait_until(lambda: len(provider.told) == 2 and asked.load().slots_in_use == 0, 10, lambda: "nothing was written")
    assert asked.load().waiting == 0
    asked.close()


def test_few_threads_wait_for_writes() -> None:
    """Reads and writes of one instance have the same places."""
    gate = Gate()
    asked = instance(Written(lambda: gate.hang(None)), policy=PATIENT, concurrency=100, most_waiting=5)
    to = routed(asked)
    with ThreadPoolExecutor(64) as pool:
        writes = [pool.submit(write, to) for _ in range(16) for write in WRITES.values()]
        wait_until(lambda: sum(each.done() for each in writes) == 59, 20, lambda: "not so many are refused")
        assert asked.load().waiting == 5
        refusals = {str(each.exception()).partition(", ")[0] for each in writes if each.done()}
        assert refusals == {"provider slow is busy: 5 reads are waiting for it already"}
        gate.open()
        assert sum(each.exception(20) is None for each in writes) == 5
    asked.close()


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RequestTooLargeError("too many values"), id="its own word"),
        pytest.param(KeyError("x"), id="an exception"),
        pytest.param(TimeoutError("of its own"), id="an exception that we use too"),
    ],
)
def test_what_a_provider_raises_reaches_the_request(error: BaseException, trusted: bool) -> None:
    asked = instance(Written(raising(error), from_memory=True), policy=PATIENT, trusted=trusted)
    with pytest.raises(type(error)) as caught:
        WRITES["an external value"](routed(asked))
    assert caught.value is error
    asked.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=lambda error: repr(error))
def test_what_would_end_a_thread_is_an_error_of_the_provider(error: BaseException) -> None:
    """And its slot is free again."""
    asked = instance(Written(raising(error)), policy=PATIENT, concurrency=1)
    for _ in range(3):
        with pytest.raises(BadGatewayError, match=f"provider slow raised {type(error).__name__}"):
            WRITES["an external value"](routed(asked))
    assert asked.load().slots_in_use == 0
    asked.close()
