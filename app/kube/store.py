"""What is kept of a resource's objects: namespace, name and labels."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from app.model.resources import NamespacedName
from app.model.selectors import Selector

__all__ = ["ObjectStore"]

_NO_LABELS: Mapping[str, str] = MappingProxyType({})
_Item = tuple[NamespacedName, Mapping[str, str]]


class ObjectStore:
    """The objects of one resource, put in and removed by one thread and selected by any.

    A namespace is sorted when it is read for the first time after a change. Objects with equal labels, as the pods of
    a Deployment, share them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: dict[str, dict[str, _Item]] = {}
        self._sorted: dict[str, tuple[_Item, ...]] = {}

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._items.values()))

    def put(self, metadata: Mapping[str, Any]) -> None:
        """Keep an object, as it is now. Raises LookupError, TypeError or AttributeError for what is none."""
        namespace, name = sys.intern(metadata.get("namespace") or ""), metadata["name"]
        if not isinstance(name, str):
            raise TypeError("a name is a string")
        labels = metadata.get("labels")
        item = (NamespacedName(namespace, name), _labels(tuple(labels.items())) if labels else _NO_LABELS)
        with self._lock:
            known = self._items.setdefault(namespace, {})
            before = known.get(name)
            known[name] = item
            # Most changes of an object are none of its labels: the order stays as it is.
            if before is None or before[1] != item[1]:
                self._sorted.pop(namespace, None)

    def remove(self, metadata: Mapping[str, Any]) -> None:
        """Forget an object; one that is not there is no mistake."""
        namespace = metadata.get("namespace") or ""
        with self._lock:
            known = self._items.get(namespace, {})
            if known.pop(metadata["name"], None) is None:
                return
            self._sorted.pop(namespace, None)
            if not known:
                del self._items[namespace]

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


@lru_cache(maxsize=4096)
def _labels(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Give the same mapping for the same labels; beyond the cache's size equal ones are only not shared."""
    return {sys.intern(key): sys.intern(value) for key, value in items}
