"""The server's threads that wait for providers are few in all, however many instances there are, old and new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.concurrency.budget import PROVIDERS, THREADS, SharedRoom, provider_room
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.errors import StatusError
from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.registry import DISTRIBUTION, ConfiguredProvider
from metrics_apiserver.reloading import make_instances
from metrics_apiserver.settings import PolicySettings, ProviderSettings
from metrics_apiserver.telemetry import Telemetry
from tests.controlplane.waiting import wait_until
from tests.dispatch.making import Gate, Scripted, read_external, router, series

CLOCK = SystemClock()
BUSY = "BUSY"


def configured(name: str, does: Callable[[Any], Any], *, from_memory: bool = False, shipped: bool = False) -> Any:
    provider = Scripted(does, from_memory=from_memory)
    settings = ProviderSettings(name=name, kind="test", policy=PolicySettings(timeout=30))
    distribution = DISTRIBUTION if shipped else "somebody-elses"
    return ConfiguredProvider(name, "test", distribution, "1", provider, settings, CollectorRegistry())


def made(providers: Sequence[Any], waiting: SharedRoom, before: Sequence[Instance] = ()) -> list[Instance]:
    telemetry = Telemetry(CollectorRegistry(), api_versions=[])
    return make_instances(providers, before, waiting=waiting, telemetry=telemetry, clock=CLOCK)


def read(instance: Instance) -> Any:
    """The values, or BUSY where it is refused at once."""
    try:
        return read_external(router(instance, clock=CLOCK, seconds=30))
    except StatusError as error:
        return BUSY if error.code == 503 and "is busy" in error.message else error


@contextmanager
def reading(gate: Gate, instances: Sequence[Instance], each: int, expected: int) -> Iterator[list[Future[Any]]]:
    """Let so many wait for each of these at once, and wait until all but the expected number are refused."""
    with ThreadPoolExecutor(max_workers=each * len(instances)) as pool:
        reads = [pool.submit(read, instance) for _ in range(each) for instance in instances]
        try:
            wait_until(lambda: sum(not one.done() for one in reads) == expected, 20, lambda: "not so many wait")
            yield reads
        finally:
            gate.open()
    assert [one.result() for one in reads].count(["42"]) == expected
    assert [one.result() for one in reads].count(BUSY) == len(reads) - expected


@pytest.mark.parametrize(("hung", "expected"), [(1, 18), (2, 24), (4, 28), (7, 35), (17, 47)])
@pytest.mark.parametrize("from_memory", [False, True], ids=["slow", "said to answer from memory"])
def test_hung_instances_leave_room_for_another(hung: int, expected: int, from_memory: bool) -> None:
    """Whatever an author's provider says of itself: it may wait. One metric leaves a fourth of an instance's places."""
    gate, waiting = Gate(), provider_room()
    providers = [configured(f"hung-{number}", gate.hang, from_memory=from_memory) for number in range(hung)]
    instances = made([*providers, configured("good", lambda _: series(7))], waiting)
    with reading(gate, instances[:-1], 128 // hung, expected):
        assert waiting.taken == expected <= PROVIDERS < THREADS
        for _ in range(20):
            assert read(instances[-1]) == ["7"]
    assert waiting.taken == 0
    for instance in instances:
        instance.close()


def test_old_and_new_instances_share_the_places() -> None:
    """During a reload both are there, and one that goes on."""
    gate, waiting = Gate(), provider_room()
    kept = configured("kept", gate.hang)
    old = made([kept, *(configured(f"old-{number}", gate.hang) for number in range(15))], waiting)
    with reading(gate, old, 4, PROVIDERS):
        new = made([kept, *(configured(f"new-{number}", lambda _: series(7)) for number in range(15))], waiting, old)
        assert new[0] is old[0]
        assert {read(instance) for instance in new[1:]} == {BUSY}
        assert waiting.taken == PROVIDERS
    assert [read(instance) for instance in new[1:]] == [["7"]] * 15
    assert waiting.taken == 0
    for instance in {*old, *new}:
        instance.close()


def test_shipped_providers_that_answer_from_memory_need_no_place() -> None:
    """As many as come are answered; and they take no share from the others."""
    gate, waiting = Gate(), provider_room()
    memory = [
        configured(f"memory-{number}", lambda _: series(7), from_memory=True, shipped=True) for number in range(9)
    ]
    instances = made([*memory, configured("hung", gate.hang)], waiting)
    with reading(gate, instances[-1:], 40, 18):
        assert [read(instance) for instance in instances[:-1]] == [["7"]] * 9
    for instance in instances:
        instance.close()
