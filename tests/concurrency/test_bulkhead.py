"""The threads that calls run on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from metrics_apiserver.concurrency.budget import share_of_threads
from metrics_apiserver.concurrency.bulkhead import Bulkhead
from tests.controlplane.waiting import wait_until


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{name}-")]


def run(bulkhead: Bulkhead, work: Callable[[], str]) -> str:
    """Run it and wait for its result."""
    results: SimpleQueue[str] = SimpleQueue()
    assert bulkhead.run(work, results.put)
    return results.get(timeout=10)


def test_one_thread_is_used_again_and_again() -> None:
    """No thread for each call, and none before the first."""
    bulkhead = Bulkhead("again", 4)
    assert threads_of("again") == []
    names = {run(bulkhead, lambda: threading.current_thread().name) for _ in range(50)}
    assert names == {"again-1"}
    bulkhead.close()


def test_slot_is_free_when_the_result_is_known() -> None:
    """With one slot, whoever has an answer may ask again at once."""
    bulkhead = Bulkhead("free", 1)
    assert [run(bulkhead, lambda: "x") for _ in range(200)] == ["x"] * 200
    bulkhead.close()


def test_calls_beyond_the_slots_are_refused_at_once() -> None:
    """Hanging ones keep theirs, on daemon threads, and the others go on."""
    bulkhead, gate = Bulkhead("full", 2), threading.Event()
    results: SimpleQueue[bool] = SimpleQueue()
    assert [bulkhead.run(gate.wait, results.put) for _ in range(3)] == [True, True, False]
    assert bulkhead.in_use == 2
    assert all(thread.daemon for thread in threads_of("full"))
    gate.set()
    assert [results.get(timeout=10) for _ in range(2)] == [True, True]
    assert bulkhead.in_use == 0
    bulkhead.close()


def test_closed_one_ends_its_threads_and_still_serves_who_came_late() -> None:
    """After a reload a read may still be on its way to the old one."""
    bulkhead, gate = Bulkhead("closed", 3), threading.Event()
    results: SimpleQueue[bool] = SimpleQueue()
    run(bulkhead, lambda: "idle from now on")
    assert all(bulkhead.run(gate.wait, results.put) for _ in range(2))
    bulkhead.close()
    assert run(bulkhead, lambda: "late") == "late"
    gate.set()
    assert [results.get(timeout=10) for _ in range(2)] == [True, True]
    wait_until(lambda: not threads_of("closed"), 10, lambda: f"left: {threads_of('closed')}")


@pytest.mark.parametrize(
    ("instances", "share"),
    [
        pytest.param(0, 24, id="none"),
        pytest.param(1, 24, id="one"),
        pytest.param(2, 24, id="two share the same threads"),
        pytest.param(3, 16, id="three"),
        pytest.param(100, 4, id="many: each has a few"),
    ],
)
def test_share_of_the_servers_threads(instances: int, share: int) -> None:
    """However many providers hang, some threads are left."""
    assert share_of_threads(instances) == share


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("where", ["work", "then"])
def test_what_a_call_raises_costs_no_slot_and_no_thread(
    caplog: pytest.LogCaptureFixture, error: BaseException, where: str
) -> None:
    """Nobody should raise there; a mistake of ours must not use up a provider's slots."""
    bulkhead = Bulkhead("mistaken", 1)

    def fail(*_: object) -> str:
        raise error

    for _ in range(3):
        assert bulkhead.run(*((fail, print) if where == "work" else (lambda: "x", fail)))
        wait_until(lambda: not bulkhead.in_use, 10, "the slot is not free")
    assert run(bulkhead, lambda: "x") == "x"
    assert len(caplog.records) == 3
    bulkhead.close()
