"""What is kept of objects, and how they are found."""

from __future__ import annotations

import random
import sys
import tracemalloc
from typing import Any

import pytest

from metrics_apiserver.kube.store import ObjectStore
from metrics_apiserver.model import selectors
from metrics_apiserver.model.resources import NamespacedName


def metadata(name: str, **labels: str) -> dict[str, Any]:
    """Make an object's metadata from `namespace/name`, or `name` for a root-scoped object."""
    namespace, _, last = name.rpartition("/")
    found: dict[str, Any] = {"name": last, "labels": labels} if labels else {"name": last}
    return {**found, "namespace": namespace} if namespace else found


def names(store: ObjectStore, namespace: str = "", selector: str = "") -> list[str]:
    """List what a selector finds."""
    return [str(name) for name in store.select(namespace, selectors.parse(selector))]


@pytest.fixture
def store() -> ObjectStore:
    """A few pods in two namespaces."""
    store = ObjectStore()
    store.put(metadata("b/2", app="web"))
    store.put(metadata("a/9", app="web", tier="front"))
    store.put(metadata("a/10", app="db"))
    store.put(metadata("a/plain"))
    return store


@pytest.mark.parametrize(
    ("namespace", "selector", "found"),
    [
        pytest.param("", "", ["a/10", "a/9", "a/plain", "b/2"], id="everything, by namespace and then by name"),
        pytest.param("a", "", ["a/10", "a/9", "a/plain"], id="one namespace"),
        pytest.param("a", "app=web", ["a/9"], id="by label in one namespace"),
        pytest.param("", "app=web", ["a/9", "b/2"], id="by label in every namespace"),
        pytest.param("", "!app", ["a/plain"], id="an object without labels"),
        pytest.param("c", "", [], id="a namespace without objects"),
        pytest.param("..", "", [], id="a name that no namespace has"),
    ],
)
def test_objects_are_selected_in_order(store: ObjectStore, namespace: str, selector: str, found: list[str]) -> None:
    assert names(store, namespace, selector) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda store: store.put(metadata("a/1", app="web")), ["a/1", "a/9"], id="a new object"),
        pytest.param(lambda store: store.put(metadata("a/10", app="web")), ["a/10", "a/9"], id="a label that came"),
        pytest.param(lambda store: store.put(metadata("a/9", app="db")), [], id="a label that went"),
        pytest.param(lambda store: store.put(metadata("a/9")), [], id="all labels went"),
        pytest.param(lambda store: store.put(metadata("a/9", app="web", tier="front")), ["a/9"], id="no change"),
        pytest.param(lambda store: store.remove(metadata("a/9")), [], id="a deleted object"),
        pytest.param(lambda store: store.remove(metadata("a/nobody")), ["a/9"], id="an unknown object is deleted"),
        pytest.param(lambda store: store.remove(metadata("c/9")), ["a/9"], id="and in an unknown namespace"),
    ],
)
def test_a_change_is_seen_by_the_next_read(store: ObjectStore, change: Any, found: list[str]) -> None:
    assert names(store, "a", "app=web") == ["a/9"]
    change(store)
    assert names(store, "a", "app=web") == found


def test_root_scoped_objects_have_no_namespace() -> None:
    store = ObjectStore()
    store.put(metadata("node-b"))
    store.put({"name": "node-a", "namespace": "", "labels": None})
    assert store.select("", selectors.EVERYTHING) == [NamespacedName("", "node-a"), NamespacedName("", "node-b")]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({}, id="no name"),
        pytest.param({"name": 5}, id="a number for a name"),
        pytest.param({"name": "a", "namespace": 5}, id="a number for a namespace"),
        pytest.param({"name": "a", "labels": ["b"]}, id="a list for labels"),
        pytest.param({"name": "a", "labels": {"b": 5}}, id="a number for a label"),
    ],
)
def test_what_is_no_metadata_is_refused(wrong: dict[str, Any]) -> None:
    store = ObjectStore()
    with pytest.raises((LookupError, TypeError, AttributeError)):
        store.put(wrong)
    assert len(store) == 0


def test_any_series_of_changes_ends_in_what_is_there() -> None:
    store, there, chance = ObjectStore(), {}, random.Random(4)
    for _ in range(3000):
        name = f"{chance.choice('abc')}/{chance.randrange(30)}"
        if chance.random() < 0.4:
            store.remove(metadata(name))
            there.pop(name, None)
        else:
            there[name] = chance.choice(["web", "db"])
            store.put(metadata(name, app=there[name]))
        if chance.random() < 0.1:
            wanted = sorted((name for name, app in there.items() if app == "web"), key=lambda name: name.split("/"))
            assert names(store, "", "app=web") == wanted
    assert len(store) == len(there)


def test_ten_thousand_pods_take_less_than_eight_megabytes() -> None:
    tracemalloc.start()
    try:
        store = ObjectStore()
        for number in range(10_000):
            labels = {"app": f"app-{number // 50}", "pod-template-hash": f"hash-{number // 50}", "tier": "backend"}
            # As they come from a document: every string is a new one.
            fresh = {sys.intern(key): "".join(list(value)) for key, value in labels.items()}
            store.put({"namespace": f"ns-{number % 20}", "name": f"app-{number}-7d4b9c6f5-x{number}", "labels": fresh})
        store.select("", selectors.EVERYTHING)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(f"{used / 1e6:.1f} MB")
    assert used < 8e6
