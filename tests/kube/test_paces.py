"""What changes all the time is read at a pace, and what changes now and then at once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping

import pytest

from metrics_apiserver.kube.authentication_config import AuthenticationConfigMap
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.discovery import ResourceReader
from metrics_apiserver.kube.objects import ClusterObjects
from metrics_apiserver.kube.refresher import Refresher
from tests.controlplane.waiting import wait_until
from tests.kube.conftest import FakeCluster, FakeWatch
from tests.kube.test_objects import event, names, page

LOGGER = logging.getLogger("tests.paces")
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
CHANGED = {"type": "MODIFIED", "object": {"metadata": {"name": "x", "resourceVersion": "2"}}}
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
PACE = 0.4
Way = Callable[[FakeWatch], None]


def config_map(data: object) -> dict[str, object]:
    return {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {}, "data": data}]}


def restless(watch: FakeWatch) -> None:
    watch.send(CHANGED)
    watch.end()


def too_old(watch: FakeWatch) -> None:
    watch.send(CHANGED, GONE)
    watch.end()


WAYS = pytest.mark.parametrize(
    "way", [pytest.param(restless, id="with changes"), pytest.param(too_old, id="with a change and as too old")]
)


@WAYS
def test_a_config_map_that_always_changes_is_read_at_a_pace(
    client: ClusterClient, fake_cluster: FakeCluster, way: Way
) -> None:
    """600 lists and 600 watches a second it was, beside --client-qps."""
    fake_cluster.answer(CONFIG_MAPS, config_map({"a": "1"}))
    for watch in fake_cluster.watches(1000):
        way(watch)
    policy = CachePolicy(first_retry=0.001, last_retry=0.001, spacing=PACE)
    config = AuthenticationConfigMap(client, on_change=lambda _: None, logger=LOGGER, policy=policy)
    begun = time.monotonic()
    config.start()
    wait_until(lambda: fake_cluster.watching >= 4, 20, "it is not watched again")
    elapsed = time.monotonic() - begun
    config.stop()
    assert elapsed >= 3 * PACE
    assert len(fake_cluster.requests) <= 2 * (elapsed / PACE + 2)


def test_a_change_after_a_quiet_time_is_read_without_a_pause(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    """A CA that is taken away counts no more at once; what changes again meanwhile is read with the next round."""
    fake_cluster.answer(CONFIG_MAPS, config_map({"a": "1"}))
    (watch,) = fake_cluster.watches(1)
    taken: list[Mapping[str, str]] = []
    config = AuthenticationConfigMap(client, on_change=taken.append, logger=LOGGER, policy=CachePolicy(spacing=600))
    config.start()
    watch.wait_until_open()
    fake_cluster.answer(CONFIG_MAPS, config_map({"a": "2"}))
    watch.send(CHANGED)
    wait_until(lambda: len(taken) == 2, 20, "the change is not taken over")
    config.stop()
    assert taken == [{"a": "1"}, {"a": "2"}]
    assert fake_cluster.watching == 1


def test_a_change_between_list_and_watch_is_not_lost(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    """The next watch begins at the version of the list before it, and tells what came meanwhile."""
    fake_cluster.answer(CONFIG_MAPS, config_map({"a": "1"}))
    first, second = fake_cluster.watches(2)
    taken: list[Mapping[str, str]] = []
    config = AuthenticationConfigMap(client, on_change=taken.append, logger=LOGGER, policy=CachePolicy(spacing=PACE))
    config.start()
    first.send(CHANGED)
    second.send(CHANGED)
    wait_until(lambda: sum("watch" not in query for _, query, _ in fake_cluster.requests) == 2, 20, "not read again")
    fake_cluster.answer(CONFIG_MAPS, config_map({"a": "3"}))
    wait_until(lambda: taken[-1] == {"a": "3"}, 20, "the change is lost")
    config.stop()
    assert second.query["resourceVersion"] == "1"


@WAYS
def test_watches_that_end_at_once_with_changes_are_opened_at_a_pace(
    client: ClusterClient, fake_cluster: FakeCluster, way: Way
) -> None:
    fake_cluster.answer("/api/v1/pods", page("a/1"))
    for watch in fake_cluster.watches(1000):
        way(watch)
    policy = CachePolicy(first_retry=0.001, last_retry=0.001, spacing=PACE)
    objects = ClusterObjects(client, logger=LOGGER, policy=policy)
    objects.start()
    begun = time.monotonic()
    names(objects)
    wait_until(lambda: fake_cluster.watching >= 4, 20, "it is not watched again")
    elapsed = time.monotonic() - begun
    objects.stop()
    assert elapsed >= 3 * PACE
    assert len(fake_cluster.requests) <= 2 * (elapsed / PACE + 2)


def test_the_first_watch_follows_its_list_at_once(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer("/api/v1/pods", page("a/1"))
    (watch,) = fake_cluster.watches(1)
    objects = ClusterObjects(client, logger=LOGGER, policy=CachePolicy(spacing=600))
    objects.start()
    names(objects)
    watch.wait_until_open()
    watch.send(event("ADDED", "a/2"))
    wait_until(lambda: names(objects) == ["a/1", "a/2"], 20, "the change is not followed")
    objects.stop()


def test_a_read_that_was_slow_is_not_repeated_for_every_name() -> None:
    """Discovery one group version at a time may take long: names that nobody knows must not have it run for ever."""
    calls: list[float] = []

    def read() -> bool:
        calls.append(time.monotonic())
        time.sleep(0.3)
        return True

    refresher = Refresher(read, interval=600, retry=600, spacing=0, patience=0.01)
    refresher.start()
    wait_until(lambda: len(calls) == 1, 10, "it is not called")
    wait_until(lambda: refresher.refresh() or len(calls) >= 3, 20, "it is not called again", interval=0.005)
    refresher.stop()
    assert calls[2] - calls[1] >= 0.6 - 0.01


def test_what_is_asked_of_discovery_ends_in_all(
    client: ClusterClient, fake_cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred group versions, each of which takes its time: that is one reading, with one deadline."""
    monkeypatch.setattr("metrics_apiserver.kube.discovery._SECONDS", 0.2)
    groups = [{"name": f"g{number}.example", "versions": [{"version": "v1"}]} for number in range(1000)]
    fake_cluster.answer("/api", {"versions": ["v1"]})
    fake_cluster.answer("/api/v1", {"resources": []})
    fake_cluster.answer("/apis", json.dumps({"groups": groups}).encode())
    with pytest.raises(ClusterError, match=r"the group versions have not been read within 0\.2 s"):
        ResourceReader(client, logger=LOGGER).read()
    assert len(fake_cluster.requests) < 1000
