"""The thread that reads again, and those who wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from metrics_apiserver.concurrency.budget import Room
from metrics_apiserver.kube.refresher import Refresher
from tests.controlplane.waiting import wait_until


class Reads:
    """Counts the calls; each takes as long as the test says."""

    def __init__(self) -> None:
        self.count = 0
        self.well = True
        self.free = threading.Event()
        self.free.set()

    def __call__(self) -> bool:
        self.count += 1
        assert self.free.wait(20)
        return self.well


@pytest.fixture
def reads() -> Iterator[Reads]:
    """What is called."""
    reads = Reads()
    yield reads
    reads.free.set()


def test_before_start_nobody_waits_and_nothing_is_called(reads: Reads) -> None:
    refresher = Refresher(reads, interval=600, retry=600)
    assert not refresher.refresh()
    refresher.ask()
    refresher.stop()
    assert reads.count == 0


def test_it_is_called_again_and_again(reads: Reads) -> None:
    refresher = Refresher(reads, interval=0.001, retry=600)
    refresher.start()
    wait_until(lambda: reads.count >= 5, 10, "it is not called again")
    refresher.stop()


def test_after_a_failure_it_is_called_soon(reads: Reads) -> None:
    reads.well = False
    refresher = Refresher(reads, interval=600, retry=0.001)
    refresher.start()
    wait_until(lambda: reads.count >= 5, 10, "it is not called again")
    refresher.stop()


def test_all_who_wait_share_one_call(reads: Reads) -> None:
    refresher = Refresher(reads, interval=600, retry=600, spacing=0, patience=20, room=Room(8))
    refresher.start()
    wait_until(lambda: reads.count == 1, 10, "it is not called")
    reads.free.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(refresher.refresh) for _ in range(8)]
        wait_until(lambda: reads.count == 2, 10, "nobody asked")
        reads.free.set()
        assert all(answer.result() for answer in answers)
    refresher.stop()
    # Who came before the thread took up the wish shares it; who came after its end had another.
    assert reads.count <= 9


def test_it_is_not_called_again_within_the_spacing(reads: Reads) -> None:
    refresher = Refresher(reads, interval=600, retry=600, spacing=60)
    refresher.start()
    wait_until(lambda: reads.count == 1, 10, "it is not called")
    # The first call may not have ended: then it is shared.
    refresher.refresh()
    assert not any(refresher.refresh() for _ in range(1000))
    refresher.ask()
    refresher.stop()
    assert reads.count == 1


def test_who_waits_gives_up_and_nobody_waits_for_a_call_that_hangs(reads: Reads) -> None:
    refresher = Refresher(reads, interval=600, retry=600, spacing=0, patience=0.05)
    reads.free.clear()
    refresher.start()
    wait_until(lambda: reads.count == 1, 10, "it is not called")
    refresher.refresh()
    begin = time.monotonic()
    assert not any(refresher.refresh() for _ in range(100))
    assert time.monotonic() - begin < 1
    reads.free.set()
    refresher.stop()


def test_stop_sends_those_who_wait_away(reads: Reads) -> None:
    refresher = Refresher(reads, interval=600, retry=600, spacing=0, patience=1000)
    refresher.start()
    wait_until(lambda: reads.count == 1, 10, "it is not called")
    reads.free.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(refresher.refresh)
        wait_until(lambda: reads.count == 2, 10, "nobody asked")
        threading.Timer(0.05, reads.free.set).start()
        refresher.stop()
        answer.result(10)
