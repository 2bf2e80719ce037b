"""The objects of a cluster from its watch caches: through everything that lists and watches go through."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from metrics_apiserver.concurrency.budget import Room
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.objects import ClusterObjects
from metrics_apiserver.kube.standard import standard_resources
from metrics_apiserver.model import selectors
from metrics_apiserver.model.resources import GroupResource
from tests.controlplane.waiting import wait_until
from tests.kube.conftest import FakeCluster, FakeWatch

LOGGER = logging.getLogger("tests.objects")
PODS = "/api/v1/pods"
QUICK = CachePolicy(first_retry=0.001, last_retry=0.01, spacing=0)
# A retry that would be noticed as a test that hangs.
SLOW = CachePolicy(first_retry=600, last_retry=600)
Make = Callable[..., ClusterObjects]


@pytest.fixture
def make(client: ClusterClient) -> Iterator[Make]:
    """Make started objects, which stop at the end."""
    made = []

    def make(policy: CachePolicy = QUICK, **arguments: Any) -> ClusterObjects:
        objects = ClusterObjects(client, logger=LOGGER, policy=policy, **arguments)
        objects.start()
        made.append(objects)
        return objects

    yield make
    for objects in made:
        objects.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]


def page(*names: str, version: str = "7", following: str = "", **labels: str) -> dict[str, Any]:
    """Make a page of metadata from `namespace/name`, or `name` for a root-scoped object."""
    metadata = {"resourceVersion": version, "continue": following} if following else {"resourceVersion": version}
    return {
        "kind": "PartialObjectMetadataList",
        "metadata": metadata,
        "items": [item(name, **labels) for name in names],
    }


def item(name: str, version: str = "8", **labels: str) -> dict[str, Any]:
    """Make an object of a page or an event."""
    namespace, _, last = name.rpartition("/")
    metadata: dict[str, Any] = {"name": last, "resourceVersion": version}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": {**metadata, "labels": labels} if labels else metadata}


def event(kind: str, name: str, version: str = "8", **labels: str) -> dict[str, Any]:
    """Make an event."""
    return {"type": kind, "object": item(name, version, **labels)}


def bookmark(version: str) -> dict[str, Any]:
    """Make a bookmark."""
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}


def names(
    objects: ClusterObjects, resource: str = "pods", namespace: str = "", selector: str = "", timeout: float = 10
) -> list[str]:
    """List what is there."""
    mapping = standard_resources().mapping_for(GroupResource.parse(resource))
    found = objects.list_names(mapping, namespace=namespace, selector=selectors.parse(selector), timeout=timeout)
    return [str(name) for name in found]


def wait_for(objects: ClusterObjects, *expected: str) -> None:
    """Wait until these pods are there and no others."""
    wait_until(lambda: names(objects) == list(expected), 10, lambda: f"there are {names(objects)}")


def lists(cluster: FakeCluster, path: str = PODS) -> list[dict[str, str]]:
    """The queries of the lists of a path."""
    return [query for asked, query, _ in cluster.requests if asked == path and "watch" not in query]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        pytest.param("pods", "/api/v1/pods", id="core"),
        pytest.param("nodes", "/api/v1/nodes", id="core, root scope"),
        pytest.param("deployments", "/apis/apps/v1/deployments", id="a group"),
    ],
)
def test_the_first_read_lists_the_metadata_of_the_whole_cluster(
    make: Make, fake_cluster: FakeCluster, resource: str, path: str
) -> None:
    fake_cluster.answer(path, page("only"))
    (watch,) = fake_cluster.watches(1)
    assert names(make(), resource) == ["only"]
    asked, query, headers = fake_cluster.requests[0]
    assert (asked, query) == (path, {"limit": "500"})
    assert headers["Accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    watch.wait_until_open()
    assert watch.query["resourceVersion"] == "7"
    assert 300 <= int(watch.query["timeoutSeconds"]) <= 600


def test_pages_are_joined_and_sorted(make: Make, fake_cluster: FakeCluster) -> None:
    pages = {"": page("b/2", "a/9", following="one&two="), "one&two=": page("a/10", "b/1", app="web")}
    fake_cluster.answer(PODS, lambda query: json_bytes(pages[query.get("continue", "")]))
    objects = make()
    assert names(objects) == ["a/10", "a/9", "b/1", "b/2"]
    assert names(objects, namespace="a", selector="app in (web,api),!canary") == ["a/10"]
    assert lists(fake_cluster) == [{"limit": "500"}, {"limit": "500", "continue": "one&two="}]


def test_later_reads_ask_nothing(make: Make, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    (watch,) = fake_cluster.watches(1)
    objects = make()
    names(objects)
    watch.wait_until_open()
    asked = len(fake_cluster.requests)
    for _ in range(100):
        assert names(objects, namespace="a") == ["a/1"]
    assert len(fake_cluster.requests) == asked == 2


def test_changes_are_followed(make: Make, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer(PODS, page("a/1", "a/2"))
    (watch,) = fake_cluster.watches(1)
    objects = make()
    names(objects)
    watch.send(event("ADDED", "a/3"), event("DELETED", "a/1"), event("MODIFIED", "a/2", app="web"))
    wait_for(objects, "a/2", "a/3")
    assert names(objects, selector="app=web") == ["a/2"]


def test_many_who_read_first_share_one_list(make: Make, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    objects = make(room=Room(16))
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda _: names(objects), range(64))) == [["a/1"]] * 64
    assert len(lists(fake_cluster)) == 1


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(lambda watch: watch.end(), id="ends, its time is over"),
        pytest.param(lambda watch: watch.cut(), id="breaks"),
        pytest.param(lambda watch: (watch.send(b"garbage\n"), watch.end()), id="sends garbage"),
        pytest.param(lambda watch: (watch.send(b'{"type":'), watch.cut()), id="breaks inside a line"),
        pytest.param(
            lambda watch: (watch.send({"type": "ERROR", "object": {"code": 500, "message": "no"}}), watch.end()),
            id="says that something in the cluster failed",
        ),
    ],
)
@pytest.mark.parametrize("last", [event("ADDED", "a/2", "20"), bookmark("20")], ids=["an event", "a bookmark"])
def test_a_watch_goes_on_where_it_was_when_it(
    make: Make, fake_cluster: FakeCluster, ending: Callable[[FakeWatch], object], last: dict[str, Any]
) -> None:
    fake_cluster.answer(PODS, page("a/1", "a/2"))
    first, second = fake_cluster.watches(2)
    objects = make()
    names(objects)
    first.send(last)
    ending(first)
    second.wait_until_open()
    assert second.query["resourceVersion"] == "20"
    second.send(event("DELETED", "a/1", "21"))
    wait_for(objects, "a/2")
    assert len(lists(fake_cluster)) == 1


@pytest.mark.parametrize("how", ["an ERROR event", "the answer's status"])
def test_a_version_that_is_too_old_has_everything_listed_again_at_once(
    make: Make, fake_cluster: FakeCluster, how: str
) -> None:
    fake_cluster.answer(PODS, page("a/1", "a/gone"))
    first, second = fake_cluster.watches(2)
    if how == "an ERROR event":
        first.send({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}})
    else:
        first.refuse(410, "too old resource version")
    objects = make(SLOW)
    listed = threading.Event()

    def again(_query: dict[str, str]) -> bytes:
        if not listed.is_set():
            listed.set()
            return json_bytes(page("a/1", "a/gone"))
        return json_bytes(page("a/1", "a/2", version="30"))

    fake_cluster.answer(PODS, again)
    names(objects)
    second.wait_until_open()
    assert second.query["resourceVersion"] == "30"
    wait_for(objects, "a/1", "a/2")


def test_a_list_that_gets_too_old_between_two_pages_begins_anew(make: Make, fake_cluster: FakeCluster) -> None:
    asked: list[str] = []

    def pages(query: dict[str, str]) -> tuple[int, bytes]:
        asked.append(query.get("continue", ""))
        if len(asked) == 2:
            return 410, json_bytes({"kind": "Status", "message": "the provided continue parameter is too old"})
        return 200, json_bytes(page("a/2") if query.get("continue") else page("a/1", following="x"))

    fake_cluster.answer(PODS, pages)
    assert names(make()) == ["a/1", "a/2"]
    assert asked == ["", "x", "", "x"]


def test_a_cluster_that_is_gone_leaves_the_last_state(
    make: Make, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    (watch,) = fake_cluster.watches(1)
    objects = make()
    names(objects)
    watch.wait_until_open()
    fake_cluster.close()
    wait_until(lambda: "refused" in caplog.text, 10, "nobody noticed")
    for _ in range(10):
        assert names(objects) == ["a/1"]
    assert caplog.text.count("the cache of pods: ") <= 3


def test_after_some_failures_in_a_row_everything_is_listed_again(make: Make, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    *broken, last = fake_cluster.watches(6)
    for watch in broken:
        watch.refuse(504, "Too large resource version")
    objects = make()
    names(objects)
    last.wait_until_open()
    assert len(lists(fake_cluster)) == 2


def test_a_resource_that_lists_but_does_not_watch_is_listed_again_and_again(
    make: Make, fake_cluster: FakeCluster
) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    for watch in fake_cluster.watches(1000):
        watch.refuse(405, "the server does not allow this method")
    objects = make()
    assert names(objects) == ["a/1"]
    fake_cluster.answer(PODS, page("a/2"))
    wait_for(objects, "a/2")


def test_watches_that_end_at_once_are_no_busy_loop(make: Make, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    for watch in fake_cluster.watches(1000):
        watch.end()
    objects = make(CachePolicy(first_retry=0.2, last_retry=600))
    begin = time.monotonic()
    names(objects)
    wait_until(lambda: fake_cluster.watching >= 4, 20, "it is not watched again")
    # 0.1 to 0.2, 0.2 to 0.4, 0.4 to 0.8 seconds.
    assert time.monotonic() - begin >= 0.7


@pytest.mark.parametrize("status", [404, 405])
def test_a_resource_that_is_not_there_has_no_objects(make: Make, fake_cluster: FakeCluster, status: int) -> None:
    fake_cluster.refuse(PODS, status, "no")
    missing = threading.Event()
    objects = make(SLOW, on_missing=missing.set)
    assert names(objects) == []
    assert missing.wait(10)
    assert len(lists(fake_cluster)) == 1


def test_a_resource_that_goes_loses_its_objects_and_has_them_when_it_comes_again(
    make: Make, fake_cluster: FakeCluster
) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    first, second = fake_cluster.watches(2)
    objects = make()
    assert names(objects) == ["a/1"]
    second.refuse(404, "the server could not find the requested resource")
    fake_cluster.refuse(PODS, 404, "the server could not find the requested resource")
    first.end()
    wait_for(objects)
    fake_cluster.answer(PODS, page("a/2"))
    wait_for(objects, "a/2")


@pytest.mark.parametrize(
    ("status", "phrase"), [(401, "Unauthorized"), (403, "Forbidden"), (400, "Bad Request"), (406, "Not Acceptable")]
)
def test_a_refusal_is_told_without_waiting(make: Make, fake_cluster: FakeCluster, status: int, phrase: str) -> None:
    fake_cluster.refuse(PODS, status, "pods is forbidden")
    objects = make(SLOW)
    begin = time.monotonic()
    with pytest.raises(ServiceUnavailableError) as caught:
        names(objects, timeout=20)
    assert time.monotonic() - begin < 10
    assert caught.value.whole == (
        f"the pods of the cluster have not been listed yet: GET {PODS}: {status} {phrase}: pods is forbidden"
    )


def test_what_may_pass_is_waited_for(make: Make, fake_cluster: FakeCluster) -> None:
    fake_cluster.refuse(PODS, 503, "starting")
    objects = make()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(names, objects)
        wait_until(lambda: len(lists(fake_cluster)) >= 3, 10, "it is not listed again")
        fake_cluster.answer(PODS, page("a/1"))
        assert answer.result() == ["a/1"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param({"items": "none"}, "the answer is not a list of objects", id="items that are none"),
        pytest.param({"metadata": {}, "items": []}, "the answer is not a list of objects", id="no version"),
        pytest.param({"items": [{"metadata": {}}]}, "the answer is not a list of objects", id="no name"),
        pytest.param(b"<html>", "the answer is not a JSON object", id="a page of a proxy"),
    ],
)
def test_what_is_no_list_is_service_unavailable_when_the_time_is_over(
    make: Make, fake_cluster: FakeCluster, answer: object, reason: str
) -> None:
    fake_cluster.answer(PODS, answer)
    with pytest.raises(ServiceUnavailableError, match=r"have not been listed yet\Z") as caught:
        names(make(), timeout=0.5)
    assert caught.value.cause == f"GET {PODS}: {reason}"


def test_a_cold_read_waits_no_longer_than_its_time(make: Make, fake_cluster: FakeCluster) -> None:
    free = threading.Event()
    fake_cluster.answer(PODS, lambda _: free.wait(20) and json_bytes(page("a/1")))
    objects = make()
    with pytest.raises(ServiceUnavailableError, check=lambda error: error.cause == "the first list is under way"):
        names(objects, timeout=0.05)
    free.set()
    assert names(objects) == ["a/1"]


def test_nothing_starts_before_start_or_after_stop(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    objects = ClusterObjects(client, logger=LOGGER, policy=QUICK)
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError, match="the server is not running"):
            names(objects)
        objects.stop()
    assert fake_cluster.requests == []


def test_stop_ends_watches_lists_and_those_who_wait(make: Make, fake_cluster: FakeCluster) -> None:
    free = threading.Event()
    fake_cluster.answer(PODS, page("a/1"))
    fake_cluster.answer("/api/v1/nodes", lambda _: free.wait(20) and b"")
    (watch,) = fake_cluster.watches(1)
    objects = make(SLOW)
    names(objects)
    watch.wait_until_open()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(names, objects, "nodes")
        wait_until(lambda: "/api/v1/nodes" in fake_cluster.paths, 10, "it is not listed")
        threading.Timer(0.1, free.set).start()
        begin = time.monotonic()
        objects.stop()
        assert time.monotonic() - begin < 2.5
        with pytest.raises(ServiceUnavailableError):
            answer.result()


def test_a_cache_that_nobody_reads_stops_and_starts_again(
    make: Make, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fake_cluster.answer(PODS, page("a/1"))
    (watch,) = fake_cluster.watches(1)
    objects = make(CachePolicy(idle=0.05))
    assert names(objects) == ["a/1"]
    watch.wait_until_open()

    def idle() -> bool:
        watch.send(bookmark("9"))
        return not [thread for thread in threading.enumerate() if thread.name == "watch-pods"]

    wait_until(idle, 10, "it does not stop")
    assert "nobody reads the objects of pods" in caplog.text
    fake_cluster.answer(PODS, page("a/2"))
    assert names(objects) == ["a/2"]


def test_of_too_many_the_one_that_was_read_longest_ago_stops(
    make: Make, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    for plural in ("pods", "nodes", "services"):
        fake_cluster.answer(f"/api/v1/{plural}", page(plural))
    objects = make(CachePolicy(most_caches=2))
    for plural in ("pods", "nodes", "pods", "services"):
        assert names(objects, plural) == [plural]
    assert "more than 2 resources are read by selector: the cache of nodes" in caplog.text

    def watched() -> set[str]:
        return {thread.name for thread in threading.enumerate() if thread.name.startswith("watch-")}

    wait_until(lambda: watched() == {"watch-pods", "watch-services"}, 10, lambda: f"there are {watched()}")
    assert len(lists(fake_cluster)) == 1
    assert names(objects, "nodes") == ["nodes"]


def test_a_mistake_of_ours_is_logged_and_does_not_end_the_cache(
    make: Make, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_cluster.answer(PODS, page("a/1"))
    with monkeypatch.context() as broken:
        broken.setattr("metrics_apiserver.kube.cache.list_objects", lambda *_: 1 / 0)
        objects = make()
        with pytest.raises(
            ServiceUnavailableError, check=lambda error: error.cause == "an internal error, which the log has"
        ):
            names(objects, timeout=0.1)
    assert names(objects) == ["a/1"]
    assert "ZeroDivisionError" in caplog.text


def test_whatever_happens_it_ends_in_what_the_cluster_has(make: Make, fake_cluster: FakeCluster) -> None:
    """Random changes over watches that end in every way."""
    chance = random.Random(7)
    there: set[str] = set()
    version = 10
    fake_cluster.answer(PODS, lambda _: json_bytes(page(*sorted(there), version=str(version))))
    watches = fake_cluster.watches(40)
    objects = make()
    names(objects)
    for watch in watches:
        watch.wait_until_open()
        # Whoever watches from an earlier version missed something.
        assert int(watch.query["resourceVersion"]) == version
        for _ in range(chance.randrange(1, 20)):
            version += 1
            name = f"{chance.choice('ab')}/{chance.randrange(20)}"
            kind = "DELETED" if name in there else "ADDED"
            there ^= {name}
            watch.send(event(kind, name, str(version)))
        if chance.random() < 0.3:
            # What is not sent any more comes with the list.
            version += 1
            there ^= {f"c/{chance.randrange(20)}"}
            watch.send({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
        watch.end() if chance.random() < 0.5 else watch.cut()
    wait_for(objects, *sorted(there, key=lambda name: name.split("/")))


def json_bytes(document: object) -> bytes:
    """Write JSON, for answers that are functions."""
    return json.dumps(document).encode()
