"""The thread that keeps the mapping of a real cluster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import ApiClient

from app.errors import ServiceUnavailableError
from app.kube.cluster import Cluster
from app.model import selectors
from app.model.resources import GroupResource, NamespacedName
from tests.kube.conftest import FakeCluster

LOGGER = logging.getLogger("tests.cluster")
PODS = GroupResource("pods")


class Tries:
    """A handler for /api that counts the tries and lets a test wait for one."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.count = 0
        self._answer = answer
        self._changed = threading.Condition()

    def __call__(self, _query: dict[str, str]) -> Any:
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        return self._answer(self.count)

    def wait_for(self, count: int) -> None:
        """Wait until so many tries were made: the one before has been dealt with by then."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, timeout=20)


def serve(cluster: FakeCluster, api: object) -> None:
    """Let a cluster have pods and nothing else."""
    cluster.answer("/api", api)
    cluster.answer(
        "/api/v1", {"resources": [{"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": True}]}
    )
    cluster.answer("/apis", {"groups": []})


def test_nothing_is_asked_before_start(api: ApiClient, fake_cluster: FakeCluster) -> None:
    before = threading.active_count()
    cluster = Cluster(api, logger=LOGGER)
    assert threading.active_count() == before
    assert cluster.check() == "the cluster's resources have not been read yet: reading has not started"
    with pytest.raises(ServiceUnavailableError, match="have not been read yet"):
        cluster.mapper.mapping_for(PODS)
    cluster.stop()
    assert fake_cluster.requests == []


def test_it_retries_until_the_mapping_is_read_and_says_why_meanwhile(
    api: ApiClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = threading.Event()
    tries = Tries(lambda _: {"versions": ["v1"]} if allowed.is_set() else b"starting")
    serve(fake_cluster, tries)
    cluster = Cluster(api, logger=LOGGER, interval=0.01, retry=0.01)
    cluster.start()
    tries.wait_for(3)
    assert cluster.check() == (
        "the cluster's resources have not been read yet: GET /api: the answer is not a JSON object"
    )
    allowed.set()
    tries.wait_for(tries.count + 3)
    assert cluster.check() is None
    assert cluster.mapper.mapping_for(PODS).kind == "Pod"
    cluster.stop()
    assert caplog.text.count("not a JSON object") == 1


def test_an_old_mapping_outlives_errors(
    api: ApiClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    tries = Tries(lambda count: {"versions": ["v1"]} if count == 1 else b"broken")
    serve(fake_cluster, tries)
    cluster = Cluster(api, logger=LOGGER, interval=0.01, retry=0.01)
    cluster.start()
    tries.wait_for(4)
    assert cluster.check() is None
    assert cluster.mapper.mapping_for(PODS).kind == "Pod"
    cluster.stop()
    assert caplog.text.count("not a JSON object") == 1


def test_a_mistake_of_ours_is_logged_and_does_not_end_the_thread(
    api: ApiClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    # A name that is no string is what discovery does not expect.
    fake_cluster.answer(
        "/api/v1", {"resources": [{"name": ["pods"], "kind": "Pod", "singularName": "pod", "namespaced": True}]}
    )
    cluster = Cluster(api, logger=LOGGER, interval=0.01, retry=0.01)
    cluster.start()
    tries.wait_for(2)
    assert "internal error" in str(cluster.check())
    serve(fake_cluster, tries)
    tries.wait_for(tries.count + 3)
    assert cluster.check() is None
    cluster.stop()
    assert "discovery failed" in caplog.text


def test_stop_ends_the_wait(api: ApiClient, fake_cluster: FakeCluster) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    cluster = Cluster(api, logger=LOGGER)
    cluster.start()
    tries.wait_for(1)
    cluster.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "cluster-discovery"]


def test_objects_are_the_clusters(api: ApiClient, fake_cluster: FakeCluster) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    fake_cluster.answer(
        "/api/v1/namespaces/shop/pods", {"items": [{"metadata": {"name": "cart-0", "namespace": "shop"}}]}
    )
    cluster = Cluster(api, logger=LOGGER, interval=0.01)
    cluster.start()
    tries.wait_for(2)
    mapping = cluster.mapper.mapping_for(PODS)
    found = cluster.objects.list_names(mapping, namespace="shop", selector=selectors.EVERYTHING, timeout=5)
    cluster.stop()
    assert found == [NamespacedName("shop", "cart-0")]
