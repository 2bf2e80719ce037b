"""Answers of thousands of items: one after the other, and few wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from werkzeug.test import Client

from metrics_apiserver.answering.turns import Turns
from metrics_apiserver.concurrency.budget import LARGE_ANSWERS
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.provider import ExternalMetricValue, Quantity
from metrics_apiserver.server import MetricsServer
from tests.controlplane.waiting import wait_until
from tests.dispatch.making import Scripted, instance
from tests.fakes import NOON


def test_one_after_the_other_and_few_wait() -> None:
    turns, gate = Turns(), threading.Event()
    inside: list[int] = []
    most = 0

    def write() -> str:
        nonlocal most
        try:
            with turns.turn():
                inside.append(1)
                most = max(most, len(inside))
                assert gate.wait(20)
                inside.pop()
                return "written"
        except ServiceUnavailableError as error:
            return error.message

    with ThreadPoolExecutor(64) as pool:
        answers = [pool.submit(write) for _ in range(64)]
        wait_until(lambda: sum(each.done() for each in answers) == 64 - LARGE_ANSWERS, 20, lambda: "not so many wait")
        assert turns.room.taken == LARGE_ANSWERS
        gate.set()
        given = [each.result(20) for each in answers]
    assert given.count("written") == LARGE_ANSWERS
    assert set(given) == {"written", "too many answers of thousands of items are being written: try again"}
    assert (most, turns.room.taken) == (1, 0)


def test_nobody_waits_for_a_turn_for_ever() -> None:
    """And the next has its turn, whatever came of the one before."""
    turns = Turns(seconds=0.05)
    with ThreadPoolExecutor(1) as pool, turns.turn():
        late = pool.submit(lambda: turns.turn().__enter__())
        with pytest.raises(ServiceUnavailableError, match=r"took longer than 0\.05 s"):
            late.result(20)
    with pytest.raises(KeyError), turns.turn():
        raise KeyError
    with turns.turn():
        assert turns.room.taken == 1


def test_a_large_read_is_refused_where_too_many_are_being_written(server: MetricsServer, client: Client) -> None:
    """A small one is not."""
    values = [ExternalMetricValue("queue", NOON, Quantity.of(1), {"number": str(number)}) for number in range(5001)]
    large = Scripted(lambda _: values, from_memory=True)
    small = Scripted(lambda _: values[:5000], from_memory=True)
    room = server.front.answering.reads.turns.room
    for _ in range(LARGE_ANSWERS):
        assert room.enter()
    try:
        codes = []
        for provider in (large, small):
            server.router.replace([instance(provider)])
            codes.append(client.get("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue").status_code)
        assert codes == [503, 200]
    finally:
        for _ in range(LARGE_ANSWERS):
            room.leave()
    server.router.replace([instance(large)])
    assert client.get("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue").status_code == 200
    assert room.taken == 0
