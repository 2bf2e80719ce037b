"""Who waits for the cluster's first lists and for names that nobody knows: few, and not longer than there is hope."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes.client import ApiClient

from metrics_apiserver.concurrency.budget import CLUSTER, Room
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.cluster import Cluster
from metrics_apiserver.kube.limits import TokenBucket
from metrics_apiserver.kube.objects import ClusterObjects
from metrics_apiserver.model.resources import GroupResource
from tests.controlplane.waiting import wait_until
from tests.kube.conftest import FakeCluster
from tests.kube.test_objects import names, page

LOGGER = logging.getLogger("tests.waits")
# As many as the server has.
THREADS = 64
READERS = 300
PODS, NODES = "/api/v1/pods", "/api/v1/nodes"
CORE = {
    "resources": [
        {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": True},
        {"name": "nodes", "singularName": "node", "kind": "Node", "namespaced": False},
    ]
}


class Hanging:
    """An answer that does not come until it is let go."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.go = threading.Event()
        self.asked = 0
        self._body = body

    def __call__(self, _query: dict[str, str]) -> bytes:
        self.asked += 1
        assert self.go.wait(30)
        return json.dumps(self._body).encode()


@pytest.fixture
def hanging(fake_cluster: FakeCluster) -> Iterator[Hanging]:
    """The pods, whose list hangs."""
    made = Hanging(page("a/1"))
    fake_cluster.answer(PODS, made)
    yield made
    made.go.set()


def refused(answers: list[Future[Any]]) -> list[Future[Any]]:
    return [each for each in answers if each.done() and isinstance(each.exception(), ServiceUnavailableError)]


def test_of_three_hundred_readers_of_a_list_that_hangs_six_wait(
    client: ClusterClient, fake_cluster: FakeCluster, hanging: Hanging
) -> None:
    """The others are refused at once, and the server's threads are free for everybody else."""
    room = Room(CLUSTER)
    objects = ClusterObjects(client, logger=LOGGER, room=room)
    objects.start()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [pool.submit(names, objects, timeout=30) for _ in range(READERS)]
        wait_until(
            lambda: len(refused(answers)) == READERS - CLUSTER,
            20,
            lambda: f"{len(refused(answers))} are refused, {room.taken} wait",
        )
        assert room.taken == CLUSTER == 6
        # Another resource, from memory or not there, has the rest of the threads.
        fake_cluster.answer(NODES, page("n"))
        with pytest.raises(
            ServiceUnavailableError, match="the nodes of the cluster have not been listed yet, and too many"
        ):
            names(objects, "nodes")
        wait_until(lambda: names_or_none(objects, "nodes") == ["n"], 20, "the nodes are not listed")
        hanging.go.set()
        assert [each.result() for each in answers if each.exception() is None] == [["a/1"]] * 6
    assert room.taken == 0
    assert hanging.asked == 1
    assert "too many requests wait for first lists: try again" in str(refused(answers)[0].exception())
    objects.stop()


def names_or_none(objects: ClusterObjects, resource: str) -> list[str] | None:
    try:
        return names(objects, resource)
    except ServiceUnavailableError:
        return None


def test_names_that_nobody_knows_share_the_room_with_first_lists(
    api: ApiClient, fake_cluster: FakeCluster, hanging: Hanging
) -> None:
    free = threading.Event()
    free.set()
    fake_cluster.answer("/api", lambda _: free.wait(30) and json.dumps({"versions": ["v1"]}).encode())
    fake_cluster.answer("/api/v1", CORE)
    fake_cluster.answer("/apis", {"groups": []})
    room = Room(2)
    cluster = Cluster(api, logger=LOGGER, bucket=TokenBucket(1000, 1000), spacing=0, room=room)
    cluster.start()
    try:
        wait_until(lambda: cluster.check() is None, 10, "the resources are not read")
        free.clear()
        with ThreadPoolExecutor(THREADS) as pool:
            readers = [pool.submit(names, cluster.objects, timeout=30)]
            wait_until(lambda: room.taken == 1, 10, "nobody waits for the list")
            unknown = [pool.submit(cluster.mapper.mapping_for, GroupResource(f"unknown-{n}")) for n in range(READERS)]
            # One waits for the resources, for as long as there is hope; all others know at once.
            wait_until(lambda: len(refused(unknown)) >= READERS - 1, 20, lambda: f"{len(refused(unknown))} are refused")
            assert "the cluster's resources are being read, and too many requests wait" in str(
                refused(unknown)[0].exception()
            )
            free.set()
            hanging.go.set()
            assert readers[0].result() == ["a/1"]
        assert room.taken == 0
    finally:
        free.set()
        cluster.stop()


Make = Callable[..., ClusterObjects]


@pytest.fixture
def make(client: ClusterClient) -> Iterator[Make]:
    """Make started objects, which stop at the end."""
    made: list[ClusterObjects] = []

    def make(**policy: Any) -> ClusterObjects:
        objects = ClusterObjects(client, logger=LOGGER, policy=CachePolicy(first_retry=0.001, spacing=0, **policy))
        objects.start()
        made.append(objects)
        return objects

    yield make
    for objects in made:
        objects.stop()


def evict(objects: ClusterObjects, asked: int, hanging: Hanging) -> None:
    """Take the cache away for which somebody waits, as another resource may in the moment before."""
    wait_until(lambda: hanging.asked == asked, 10, lambda: f"the pods are listed {hanging.asked} times")
    with objects._lock:
        (cache,) = objects._caches.values()
        objects._forget(cache)
    cache.stop()


def test_readers_of_an_evicted_cache_are_led_to_the_next_one(make: Make, hanging: Hanging) -> None:
    """All of them, and they share it."""
    objects = make()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(names, objects, timeout=30) for _ in range(4)]
        wait_until(lambda: objects._room.taken == 4, 10, "not all of them wait")
        evict(objects, 1, hanging)
        wait_until(lambda: hanging.asked == 2, 10, "no other cache begins")
        hanging.go.set()
        assert [each.result() for each in waiting] == [["a/1"]] * 4
    assert hanging.asked == 2


def test_readers_whose_cache_is_always_evicted_are_refused_in_the_end(make: Make, hanging: Hanging) -> None:
    """Who cannot win must not have lists begin for ever."""
    objects = make()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(names, objects, timeout=30)
        for asked in (1, 2, 3):
            evict(objects, asked, hanging)
        with pytest.raises(ServiceUnavailableError, check=lambda error: error.cause == "the first list is under way"):
            waiting.result(20)
    assert hanging.asked == 3


def test_resources_that_all_have_readers_take_nobodys_place(
    make: Make, fake_cluster: FakeCluster, hanging: Hanging
) -> None:
    """There is one more cache for a while, as few can wait, and then one less."""
    fake_cluster.answer(NODES, page("n"))
    objects = make(most_caches=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(names, objects, timeout=30)
        wait_until(lambda: any(cache.waiting for cache in objects._caches.values()), 10, "nobody waits")
        assert names(objects, "nodes") == ["n"]
        hanging.go.set()
        assert waiting.result() == ["a/1"]
    assert hanging.asked == 1
    fake_cluster.answer("/api/v1/services", page("s"))
    assert names(objects, "services") == ["s"]
    assert len(objects._caches) == 1


def test_a_cache_for_which_somebody_waits_is_not_the_one_that_stops(
    make: Make, fake_cluster: FakeCluster, hanging: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    for plural in ("nodes", "services"):
        fake_cluster.answer(f"/api/v1/{plural}", page(plural))
    objects = make(most_caches=2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(names, objects, timeout=30)
        wait_until(lambda: hanging.asked == 1, 10, "the pods are not listed")
        wait_until(lambda: any(cache.waiting for cache in objects._caches.values()), 10, "nobody waits")
        assert names(objects, "nodes") == ["nodes"]
        assert names(objects, "services") == ["services"]
        hanging.go.set()
        assert waiting.result() == ["a/1"]
    assert hanging.asked == 1
    assert "the cache of nodes, which was read longest ago, stops" in caplog.text


def test_a_wait_ends_at_the_deadline_also_when_it_is_led_on(make: Make, hanging: Hanging) -> None:
    objects = make()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(names, objects, timeout=1.0)
        evict(objects, 1, hanging)
        with pytest.raises(ServiceUnavailableError, match=r"have not been listed yet\Z") as caught:
            waiting.result(20)
        assert caught.value.cause == "the first list is under way"
