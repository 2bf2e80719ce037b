"""How much memory is taken by what tenants write into their objects, and what happens to what does not fit."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.kept import NoRoomError, Share
from metrics_apiserver.kube.listing import list_objects
from metrics_apiserver.kube.objects import ClusterObjects
from metrics_apiserver.kube.store import ObjectStore
from metrics_apiserver.model import selectors
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER
from tests.kube.conftest import FakeCluster
from tests.kube.test_objects import bookmark, event, item, names, page

MIB = 1024 * 1024
KEYS = [f"k{number}" for number in range(22_000)]
QUICK = CachePolicy(first_retry=0.001, last_retry=0.01, spacing=0)
PODS, SERVICES = "/api/v1/pods", "/api/v1/services"


def pod(number: int, **labels: str) -> dict[str, Any]:
    """Make the metadata of a pod with about 200 bytes of labels, which it has in common with 49 others."""
    app = number // 50
    return {
        "namespace": f"ns-{number % 50}",
        "name": f"application-{app}-7d4b9c6f5-x{number:05}",
        "labels": {
            "app.kubernetes.io/name": f"application-{app}",
            "app.kubernetes.io/instance": f"instance-{app}",
            "pod-template-hash": f"7d4b9c6f5{app}",
            "team": "some-team-of-the-house",
            "tier": "backend",
            **labels,
        },
    }


def huge(number: int) -> dict[str, Any]:
    """Make the metadata of an object with a MiB of labels that no other has."""
    labels = {f"k{number}x{each}": "v" * 50 + f"{number}x{each}" for each in range(13_000)}
    return {"namespace": "t", "name": f"o{number}", "labels": labels}


SHAPES = [
    pytest.param(20_000, pod, id="pods of Deployments"),
    pytest.param(20_000, lambda number: pod(number, own=f"{number}"), id="pods of which each has a label of its own"),
    pytest.param(20_000, lambda number: {"name": f"o{number}"}, id="no labels and no namespace"),
    pytest.param(5_000, lambda number: {"name": "o", "namespace": f"n{number}"}, id="a namespace for each"),
    pytest.param(10_000, lambda number: {"name": f"o{number}", "labels": {f"k{number}": ""}}, id="a key for each"),
    pytest.param(3_000, lambda number: {"name": f"o{number}", "labels": {"é": f"\U0001f600{number}"}}, id="wide texts"),
    pytest.param(20, huge, id="a MiB of labels"),
    pytest.param(
        20,
        lambda number: {"name": f"o{number}", "labels": {f"k{each}": "" for each in range(22_000)}},
        id="empty values",
    ),
    pytest.param(20, lambda number: {"name": f"o{number}", "labels": {"k": "x" * 200_000}}, id="one long value"),
    pytest.param(20, lambda number: {"name": f"{number}" * 100_000}, id="a long name"),
]


@pytest.mark.parametrize(("count", "make"), SHAPES)
def test_what_is_counted_is_what_is_taken(count: int, make: Callable[[int], dict[str, Any]]) -> None:
    """Never less, but for what Python rounds, and not much more than twice."""
    tracemalloc.start()
    try:
        store = ObjectStore()
        for number in range(count):
            # As they come from a document: every text is a new one.
            store.put(orjson.loads(orjson.dumps(make(number))))
        store.select("", selectors.EVERYTHING)
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.9 * used < store.bytes < 2.5 * used
    assert store.bytes == store.recount()


def test_a_store_that_is_gone_leaves_nothing() -> None:
    """One cache of label sets for all of the process held four thousand of a MiB for ever."""
    tracemalloc.start()
    try:
        store = ObjectStore()
        for number in range(20):
            store.put(huge(number))
        del store
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < MIB


@pytest.mark.parametrize(
    "own", [pytest.param(False, id="labels shared by fifty"), pytest.param(True, id="labels that no other has")]
)
def test_the_largest_cluster_fits(own: bool) -> None:
    """150,000 pods are the most that Kubernetes supports."""
    store = ObjectStore()
    for number in range(150_000):
        store.put(pod(number, own=f"{number}") if own else pod(number))
    assert store.bytes < (176 if own else 64) * MIB


@pytest.mark.parametrize("seed", range(5))
def test_the_count_is_right_after_any_changes(seed: int) -> None:
    """Also after those that were refused; what is removed is given back to the last byte."""
    chance, share = random.Random(seed), Share(most_of_one=60_000)
    store, refused = ObjectStore(share=share), 0
    there: dict[str, dict[str, str]] = {}
    for _ in range(3000):
        namespace, name = chance.choice("abc"), f"{chance.randrange(30)}"
        metadata: dict[str, Any] = {"namespace": namespace, "name": name}
        if chance.random() < 0.3:
            store.remove(metadata)
            there.pop(f"{namespace}/{name}", None)
        else:
            length = chance.choice([1, 20, 2100])
            labels = {f"k{chance.randrange(9)}": chance.choice("vwé") * length for _ in range(chance.randrange(4))}
            try:
                store.put({**metadata, "labels": labels})
                there[f"{namespace}/{name}"] = labels
            except NoRoomError:
                refused += 1
        assert store.bytes == store.recount() == share.taken == share.taken_by_all <= 60_000
    for key in ("k0", "k5"):
        found = {str(each) for each in store.select("", selectors.parse(key))}
        assert found == {name for name, labels in there.items() if key in labels}
    assert refused > 100
    for name in there:
        store.remove(dict(zip(("namespace", "name"), name.split("/"), strict=True)))
    assert store.bytes == share.taken_by_all == store.recount() == 0
    assert (store._labels._keys, store._labels._shared) == ({}, {})


def test_a_list_that_does_not_fit_is_an_error_and_leaves_nothing(
    client: ClusterClient, fake_cluster: FakeCluster
) -> None:
    def answer(query: dict[str, str]) -> bytes:
        start = int(query.get("continue", "0"))
        items = [{"metadata": huge(number)} for number in range(start, start + min(3, int(query["limit"])))]
        following = str(start + len(items))
        return orjson.dumps({"metadata": {"resourceVersion": "1", "continue": following}, "items": items})

    fake_cluster.answer(PODS, answer)
    share = Share(most_of_one=20 * MIB)
    with pytest.raises(ClusterError, match=f"GET {PODS}: their names and labels take more than 20 MiB of memory"):
        list_objects(client, PODS, None, share)
    assert share.taken_by_all == 0


def test_a_resource_that_does_not_fit_is_unavailable_at_once_and_others_go_on(
    client: ClusterClient, fake_cluster: FakeCluster
) -> None:
    """Until it fits again: by events first, little by little, and then in the list."""
    fake_cluster.answer(PODS, page("a/1"))
    fake_cluster.answer(SERVICES, page("a/s", app="web"))
    share = Share(most=2 * MIB, most_of_one=MIB)
    objects = ClusterObjects(client, logger=LOGGER, policy=QUICK, share=share)
    (services,) = fake_cluster.watches(1)
    objects.start()
    try:
        assert names(objects, "services") == ["a/s"]
        wait_until(lambda: fake_cluster.watching == 1, 10, "the services are not watched")
        (pods,) = fake_cluster.watches(1)
        assert names(objects) == ["a/1"]
        wait_until(lambda: fake_cluster.watching == 2, 10, "the pods are not watched")
        filling = [f"a/{number:02}" for number in range(30)]
        large = {
            "metadata": {"resourceVersion": "9"},
            "items": [item(name, own=name + "x" * 60_000) for name in filling],
        }
        fake_cluster.answer(PODS, large)
        for name in filling:
            pods.send(event("ADDED", name, own=name + "x" * 60_000))

        def full() -> bool:
            try:
                names(objects, timeout=5)
            except ServiceUnavailableError as error:
                return "take more than 1 MiB of memory" in (error.cause or "")
            return False

        wait_until(full, 10, "more is kept than may be")
        services.send(event("ADDED", "a/t", app="web"), bookmark("10"))
        wait_until(lambda: names(objects, "services") == ["a/s", "a/t"], 10, "the services do not go on")
        fake_cluster.answer(PODS, page("a/2", version="20"))
        wait_until(lambda: not full() and names(objects) == ["a/2"], 10, "it is full for ever")
    finally:
        objects.stop()
    assert share.taken_by_all == 0


def test_a_new_list_that_does_not_fit_beside_the_old_one_takes_its_place(
    client: ClusterClient, fake_cluster: FakeCluster
) -> None:
    """Each alone fits: the old one gives its room back, and is not kept for ever."""
    fake_cluster.answer(PODS, page("a/1", own="x" * 600_000))
    share = Share(most=2 * MIB, most_of_one=MIB)
    objects = ClusterObjects(client, logger=LOGGER, policy=QUICK, share=share)
    (watch,) = fake_cluster.watches(1)
    objects.start()
    try:
        assert names(objects) == ["a/1"]
        fake_cluster.answer(PODS, page("a/2", own="y" * 600_000))
        watch.send({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})

        def renewed() -> bool:
            try:
                return names(objects) == ["a/2"]
            except ServiceUnavailableError:
                return False

        wait_until(renewed, 10, "the old list is kept")
        assert share.taken_by_all < MIB
    finally:
        objects.stop()
    assert share.taken_by_all == 0


def test_labels_of_any_length_are_matched_as_they_are() -> None:
    """Nothing is cut: an object that is selected wrongly would be worse than one that is not read."""
    store = ObjectStore()
    store.put(huge(1))
    store.put({"namespace": "t", "name": "o2", "labels": {"k1x12999": "other"}})
    found = store.select("t", selectors.parse(f"k1x12999={'v' * 50}1x12999"))
    assert [each.name for each in found] == ["o1"]
