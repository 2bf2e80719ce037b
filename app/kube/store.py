"""What is kept of a resource's objects: namespace, name and labels."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from app.kube.shapes import ShapeError, mapping_of, optional_text, text_of
from app.model.resources import NamespacedName
from app.model.selectors import Selector

__all__ = ["ObjectStore"]

# A third more than the pods of the largest cluster that Kubernetes supports; each takes some 800 bytes, and a new
# list stands beside the old one.
_MOST = 200_000
_NO_LABELS: Mapping[str, str] = MappingProxyType({})
_Item = tuple[NamespacedName, Mapping[str, str]]


class ObjectStore:
    """The objects of one resource, put in and removed by one thread and selected by any.

    A namespace is sorted when it is read for the first time after a change. Objects with equal labels, as the pods of
    a Deployment, share them.
    """

    def __init__(self, *, most: int = _MOST) -> None:
        """Make an empty one, which takes no more than so many objects."""
        self._most = most
        self._count = 0
        self._lock = threading.Lock()
        self._items: dict[str, dict[str, _Item]] = {}
        self._sorted: dict[str, tuple[_Item, ...]] = {}

    def __len__(self) -> int:
        return self._count

    def put(self, metadata: Mapping[str, Any]) -> None:
        """Keep an object, as it is now.

        Raises ShapeError for what is no object's metadata, and OverflowError for one object too many.
        """
        name = _name(metadata)
        found = mapping_of(metadata, "labels")
        if not all(isinstance(value, str) for value in found.values()):
            raise ShapeError("a label is not a text")
        item = (name, _labels(tuple(found.items())) if found else _NO_LABELS)
        with self._lock:
            known = self._items.get(name.namespace, {})
            before = known.get(name.name)
            if before is None:
                if self._count >= self._most:
                    raise OverflowError(f"there are more than {self._most} objects")
                self._count += 1
            known[name.name] = item
            self._items[name.namespace] = known
            # Most changes of an object are none of its labels: the order stays as it is.
            if before is None or before[1] != item[1]:
                self._sorted.pop(name.namespace, None)

    def remove(self, metadata: Mapping[str, Any]) -> None:
        """Forget an object; one that is not there is no mistake. Raises ShapeError."""
        name = _name(metadata)
        with self._lock:
            known = self._items.get(name.namespace, {})
            if known.pop(name.name, None) is None:
                return
            self._count -= 1
            self._sorted.pop(name.namespace, None)
            if not known:
                del self._items[name.namespace]

    def select(self, namespace: str, selector: Selector) -> Sequence[NamespacedName]:
        """List the objects whose labels match, sorted by namespace, then name; namespace "" means every one."""
        with self._lock:
            namespaces = [namespace] if namespace else sorted(self._items)
            parts = [self._in_order(each) for each in namespaces]
        if selector.empty:
            return [name for part in parts for name, _ in part]
        matches = selector.matches
        return [name for part in parts for name, labels in part if matches(labels)]

    def _in_order(self, namespace: str) -> tuple[_Item, ...]:
        items = self._sorted.get(namespace)
        if items is None:
            known = self._items.get(namespace)
            if not known:
                return ()
            items = self._sorted[namespace] = tuple(known[name] for name in sorted(known))
        return items


def _name(metadata: Mapping[str, Any]) -> NamespacedName:
    return NamespacedName(sys.intern(optional_text(metadata, "namespace")), text_of(metadata, "name"))


@lru_cache(maxsize=4096)
def _labels(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Give the same mapping for the same labels; beyond the cache's size equal ones are only not shared."""
    return {sys.intern(key): sys.intern(value) for key, value in items}
