"""What a server follows of its cluster, and how it says that it hears nothing any more."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app
from metrics_apiserver.kube.authentication_config import AuthenticationConfigMap
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.cluster import Cluster
from metrics_apiserver.kube.objects import ClusterObjects
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.staleness import Following
from tests.auth.conftest import Reviewing, asker, write_kubeconfig
from tests.conftest import environ
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER, FakeClock
from tests.kube.conftest import FakeCluster, MakeRaw
from tests.kube.raw import sends
from tests.kube.test_objects import bookmark, event, names, page

CONFIG_MAP = "the ConfigMap kube-system/extension-apiserver-authentication"
LIST = b'{"metadata":{"resourceVersion":"7"},"items":[]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
QUICK = CachePolicy(first_retry=0.001, last_retry=0.01, spacing=0)


@pytest.fixture(name="clock")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(name="following")
def _following(clock: FakeClock) -> Following:
    return Following(clock.monotonic, LOGGER)


def stale(following: Following) -> list[str]:
    return [each.name for each in following.stale()]


def follow(client: Any, following: Following, **arguments: Any) -> AuthenticationConfigMap:
    config = AuthenticationConfigMap(
        client,
        on_change=arguments.pop("on_change", lambda _: None),
        logger=LOGGER,
        policy=QUICK,
        followed=following.follow(CONFIG_MAP),
    )
    config.start()
    return config


def test_a_config_map_that_drips_is_stale(
    raw: MakeRaw, clock: FakeClock, following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    """A byte now and then held it for ever, without a line in the log, and a removed CA stayed accepted."""
    cluster, client = raw(sends(HEAD % 1_000_000, b" ", pause=0.02))
    config = follow(client, following)
    wait_until(lambda: cluster.sent > 0, 10, "it is not read")
    assert stale(following) == []
    clock.seconds += 61
    following.look()
    config._reflector.stop()
    assert stale(following) == [CONFIG_MAP]
    assert f"{CONFIG_MAP} is stale" in caplog.text


def test_a_quiet_watch_is_not_stale(api: ApiClient, fake_cluster: FakeCluster, clock: FakeClock) -> None:
    """For as long as it may last: what does not change is told by nobody."""
    following = Following(clock.monotonic, LOGGER)
    fake_cluster.answer("/api/v1/pods", page("a/1"))
    fake_cluster.answer("/api/v1/namespaces/kube-system/configmaps", json.loads(LIST))
    objects = Cluster(api, logger=LOGGER, following=following, policy=QUICK).objects
    objects.start()
    names(objects)
    config = follow(objects._client, following)
    wait_until(lambda: fake_cluster.watching == 2, 10, "nobody watches")
    wait_until(lambda: not config.problem or "no ConfigMap" in config.problem, 10, "it is not followed")
    clock.seconds += 300
    # Discovery was never begun here.
    assert stale(following) == ["discovery"]
    config.stop()
    objects.stop()
    clock.seconds += 600
    assert set(stale(following)) == {"discovery", CONFIG_MAP, "the cache of pods"}


def test_a_cache_whose_watch_breaks_is_stale_until_there_is_another(
    client: Any, fake_cluster: FakeCluster, clock: FakeClock, following: Following
) -> None:
    fake_cluster.answer("/api/v1/pods", page("a/1"))
    first, *refused = fake_cluster.watches(100)
    for watch in refused:
        watch.refuse(500, "not now")
    objects = ClusterObjects(client, logger=LOGGER, following=following, policy=CachePolicy(first_retry=600))
    objects.start()
    names(objects)
    first.send(event("ADDED", "a/2"), bookmark("9"))
    wait_until(lambda: names(objects) == ["a/1", "a/2"], 10, "it is not followed")
    first.cut()
    followed = next(iter(objects._caches.values())).followed
    wait_until(lambda: followed._cause, 10, "nobody noticed")
    clock.seconds += 61
    assert stale(following) == ["the cache of pods"]
    assert following.ages() == {"the cache of pods": 61.0}
    objects.stop()


def test_silent_watches_are_opened_anew_and_what_they_follow_is_not_stale(
    client: Any,
    fake_cluster: FakeCluster,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a server that sends no bookmarks only another watch tells that it is there."""
    monkeypatch.setattr("metrics_apiserver.kube.watch._QUIET_SECONDS", 0.1)
    monkeypatch.setattr("metrics_apiserver.kube.reflector._SHORT_SECONDS", 0.05)
    following = Following(clock.monotonic, LOGGER)
    path = "/api/v1/namespaces/kube-system/configmaps"
    fake_cluster.answer("/api/v1/pods", page("a/1"))
    fake_cluster.answer(path, json.loads(LIST))
    objects = ClusterObjects(client, logger=LOGGER, following=following, policy=QUICK)
    objects.start()
    names(objects)
    config = follow(client, following)

    def watched(asked: str) -> int:
        return sum("watch" in query for each, query, _ in list(fake_cluster.requests) if each == asked)

    try:
        for asked in ("/api/v1/pods", path):
            wait_until(lambda asked=asked: watched(asked) > 2, 20, f"{asked} is watched once, in silence")
        assert stale(following) == []
        assert "timed out" not in caplog.text
    finally:
        config.stop()
        objects.stop()


def test_a_resource_that_can_only_be_listed_is_not_stale(
    client: Any, fake_cluster: FakeCluster, clock: FakeClock, following: Following
) -> None:
    """It is listed again and again, and each list is an answer."""
    fake_cluster.answer("/api/v1/pods", page("a/1"))
    for watch in fake_cluster.watches(10_000):
        watch.refuse(405, "no")
    objects = ClusterObjects(client, logger=LOGGER, following=following, policy=QUICK)
    objects.start()
    names(objects)
    clock.seconds += 61
    wait_until(lambda: not following.stale(), 10, "it is stale")
    objects.stop()


def test_a_cache_that_nobody_reads_is_no_longer_followed(
    client: Any, fake_cluster: FakeCluster, clock: FakeClock, following: Following
) -> None:
    fake_cluster.answer("/api/v1/pods", page("a/1"))
    (watch,) = fake_cluster.watches(1)
    objects = ClusterObjects(client, logger=LOGGER, following=following, policy=CachePolicy(idle=0.05, spacing=0))
    objects.start()
    names(objects)

    def forgotten() -> bool:
        watch.send(bookmark("9"))
        return following.ages() == {}

    wait_until(forgotten, 10, "it is followed for ever")
    objects.stop()


def test_what_the_config_map_says_and_cannot_be_used_is_stale(
    client: Any, fake_cluster: FakeCluster, clock: FakeClock, following: Following
) -> None:
    """It is read, and what it said before stays in use: for more than a minute somebody should know."""
    fake_cluster.answer(
        "/api/v1/namespaces/kube-system/configmaps", {**json.loads(LIST), "items": [{"data": {"a": "b"}}]}
    )
    config = follow(client, following, on_change=lambda _: "the ConfigMap's client-ca-file cannot be used: no CA")
    wait_until(lambda: config.problem is None, 10, "it is not read")
    clock.seconds += 61
    assert [each.cause for each in following.stale()] == ["the ConfigMap's client-ca-file cannot be used: no CA"]
    config.stop()


@pytest.fixture(name="server")
def _server(clock: FakeClock, tmp_path: Path) -> Iterator[tuple[MetricsServer, Reviewing]]:
    """A server of a small cluster, with a clock that the test moves."""
    cluster = Reviewing()
    variables = environ(kubeconfig=str(write_kubeconfig(cluster, tmp_path)), provider="writable")
    server = create_app(settings_from(variables), clock=clock)
    server.start()
    yield server, cluster
    server.stop()
    cluster.close()


def test_a_server_that_hears_nothing_is_ready_and_says_so(
    server: tuple[MetricsServer, Reviewing], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A hiccup of the API server must not take all replicas out."""
    caplog.set_level(logging.INFO)
    running, cluster = server
    wait_until(
        lambda: running.authentication_check() is None and running.cluster.check() is None, 20, "it is not ready"
    )
    wait_until(lambda: cluster.watching == 1, 10, "nobody watches the ConfigMap")
    ask = asker(running)
    assert running.following.remark() is None
    clock.seconds += 700
    response = ask("/readyz?verbose")
    assert response.status_code == 200
    assert "[+]followed ok" in response.text
    remark = running.following.remark()
    assert remark is not None
    assert remark.startswith("stale: discovery (for 100 s: nothing was heard)")
    assert b'metrics_apiserver_followed_stale_seconds{name="discovery"} 100.0' in running._telemetry.render()
    running.following.look()
    assert "discovery is stale" in caplog.text
