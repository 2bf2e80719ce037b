"""The thread that keeps the mapping of a real cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient

from metrics_apiserver.errors import ResourceNotFoundError, ServiceUnavailableError
from metrics_apiserver.kube.cluster import Cluster
from metrics_apiserver.kube.config import load_client
from metrics_apiserver.kube.limits import TokenBucket
from metrics_apiserver.model import selectors
from metrics_apiserver.model.resources import GroupResource, NamespacedName
from tests.controlplane.waiting import wait_until
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


def install_widgets(cluster: FakeCluster) -> None:
    """Let a cluster have widgets, and pods in their group."""
    names = [("widgets", "widget", "Widget"), ("pods", "pod", "Pod")]
    version = {"groupVersion": "example.com/v1", "version": "v1"}
    cluster.answer("/apis", {"groups": [{"name": "example.com", "versions": [version], "preferredVersion": version}]})
    cluster.answer(
        "/apis/example.com/v1",
        {
            "resources": [
                {"name": plural, "singularName": singular, "kind": kind, "namespaced": True}
                for plural, singular, kind in names
            ]
        },
    )


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
    api: ApiClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    cluster = Cluster(api, logger=LOGGER, interval=0.01, retry=0.01)
    with monkeypatch.context() as broken:
        broken.setattr("metrics_apiserver.kube.discovery.ResourceTable", lambda _: 1 / 0)
        cluster.start()
        tries.wait_for(2)
        assert "internal error" in str(cluster.check())
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


def test_objects_are_the_clusters_as_the_lister_sees_them(
    api: ApiClient, kubeconfig: Path, fake_cluster: FakeCluster
) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    page = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "cart-0", "namespace": "shop"}}]}
    fake_cluster.answer("/api/v1/pods", page)
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"]["token"] = "lister"
    other = kubeconfig.with_name("lister")
    other.write_text(yaml.safe_dump(document))
    cluster = Cluster(api, lister=load_client(str(other)), logger=LOGGER, interval=0.01)
    cluster.start()
    tries.wait_for(2)
    mapping = cluster.mapper.mapping_for(PODS)
    found = cluster.objects.list_names(mapping, namespace="shop", selector=selectors.EVERYTHING, timeout=5)
    cluster.stop()
    assert found == [NamespacedName("shop", "cart-0")]
    tokens = {headers["Authorization"] for path, _, headers in fake_cluster.requests if path == "/api/v1/pods"}
    assert tokens == {"Bearer lister"}


def test_a_resource_that_was_just_installed_is_found_by_the_next_request(
    api: ApiClient, fake_cluster: FakeCluster
) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    cluster = Cluster(api, logger=LOGGER, spacing=0)
    cluster.start()
    wait_until(lambda: cluster.check() is None, 10, "the resources are not read")
    with pytest.raises(ResourceNotFoundError):
        cluster.mapper.mapping_for(GroupResource("widgets"))
    install_widgets(fake_cluster)
    assert cluster.mapper.mapping_for(GroupResource("widgets")).kind == "Widget"
    assert cluster.mapper.mapping_for(PODS).resource.group == ""
    cluster.stop()


def test_unknown_names_cost_a_handful_of_reads(api: ApiClient, fake_cluster: FakeCluster) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    cluster = Cluster(api, logger=LOGGER, spacing=2)
    cluster.start()
    wait_until(lambda: cluster.check() is None, 10, "the resources are not read")
    begin = time.monotonic()
    for number in range(10_000):
        with pytest.raises(ResourceNotFoundError):
            cluster.mapper.mapping_for(GroupResource(f"unknown-{number}"))
    cluster.stop()
    assert tries.count <= 2 + (time.monotonic() - begin) / 2


def test_a_resource_that_cannot_be_listed_any_more_has_the_resources_read_again(
    api: ApiClient, fake_cluster: FakeCluster
) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    cluster = Cluster(api, logger=LOGGER, spacing=0)
    cluster.start()
    wait_until(lambda: cluster.check() is None, 10, "the resources are not read")
    mapping = cluster.mapper.mapping_for(PODS)
    assert not cluster.objects.list_names(mapping, namespace="", selector=selectors.EVERYTHING, timeout=5)
    tries.wait_for(2)
    cluster.stop()


def test_what_is_asked_of_the_cluster_is_bounded_for_all_clients_together(
    api: ApiClient, kubeconfig: Path, fake_cluster: FakeCluster
) -> None:
    tries = Tries(lambda _: {"versions": ["v1"]})
    serve(fake_cluster, tries)
    bucket = TokenBucket(0.001, 3)
    cluster = Cluster(api, lister=load_client(str(kubeconfig)), bucket=bucket, logger=LOGGER)
    cluster.start()
    # Three requests: that was all.
    wait_until(lambda: cluster.check() is None, 10, "the resources are not read")
    mapping = cluster.mapper.mapping_for(PODS)
    with pytest.raises(
        ServiceUnavailableError, check=lambda error: "no turn for this request within --client-qps" in error.cause
    ):
        cluster.objects.list_names(mapping, namespace="", selector=selectors.EVERYTHING, timeout=0.5)
    cluster.stop()
    assert fake_cluster.paths == ["/api", "/api/v1", "/apis"]
