"""What is kept of a resource's objects: namespace, name and labels."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from metrics_apiserver.kube.kept import NoRoomError, Share, bytes_of
from metrics_apiserver.kube.labels import LabelSet, LabelSets
from metrics_apiserver.kube.shapes import ShapeError, mapping_of, optional_text, text_of
from metrics_apiserver.model.resources import NamespacedName
from metrics_apiserver.model.selectors import Selector

__all__ = ["ObjectStore"]

# A third more than the pods of the largest cluster that Kubernetes supports; a new list stands beside the old one.
_MOST = 200_000
# What an object and a namespace take beside their texts: their places in two tables, which grow in leaps.
_OBJECT_BYTES = 176
_NAMESPACE_BYTES = 320
_Item = tuple[NamespacedName, LabelSet]


class ObjectStore:
    """The objects of one resource, put in and removed by one thread and selected by any.

    A namespace is sorted when it is read for the first time after a change. Objects with equal labels, as the pods of
    a Deployment, share them. All that is kept is counted in a share of the process's budget until `release`.
    """

    def __init__(self, *, most: int = _MOST, share: Share | None = None) -> None:
        """Make an empty one, which takes no more than so many objects, and bytes of a share (None: its own)."""
        self._most = most
        self._share = share or Share()
        self._count = 0
        self.bytes = 0
        self._lock = threading.Lock()
        self._items: dict[str, dict[str, _Item]] = {}
        self._sorted: dict[str, tuple[_Item, ...]] = {}
        self._labels = LabelSets()

    def __len__(self) -> int:
        return self._count

    def put(self, metadata: Mapping[str, Any]) -> None:
        """Keep an object, as it is now.

        Raises ShapeError for what is not an object's metadata, and NoRoomError for one object too many, or one that
        is too large for what is left; what was known of it stays then.
        """
        name = _name(metadata)
        found = mapping_of(metadata, "labels")
        if not all(isinstance(value, str) for value in found.values()):
            raise ShapeError("a label is not a text")
        with self._lock:
            known = self._items.get(name.namespace, {})
            before = known.get(name.name)
            if before is None and self._count >= self._most:
                raise NoRoomError(f"there are more than {self._most} objects")
            if before is not None and before[1].labels == found:
                # Most changes of an object are none of its labels: all stays as it is.
                return
            labels, grown = self._labels.add(found)
            grown += _size(name, first=not known) if before is None else 0
            grown -= self._labels.drop(before[1]) if before is not None else 0
            try:
                self._take(grown)
            except NoRoomError:
                self._labels.drop(labels)
                if before is not None:
                    self._labels.keep(before[1])
                raise
            self._count += before is None
            known[name.name] = (_in_namespace(name, known) if before is None else before[0], labels)
            self._items[name.namespace] = known
            self._sorted.pop(name.namespace, None)

    def remove(self, metadata: Mapping[str, Any]) -> None:
        """Forget an object; one that is not there is no mistake. Raises ShapeError."""
        name = _name(metadata)
        with self._lock:
            known = self._items.get(name.namespace, {})
            before = known.pop(name.name, None)
            if before is None:
                return
            self._count -= 1
            self._take(-self._labels.drop(before[1]) - _size(name, first=not known))
            self._sorted.pop(name.namespace, None)
            if not known:
                del self._items[name.namespace]

    def release(self) -> None:
        """Count nothing of it any more: nobody new reads it. Who reads it in this moment still can."""
        with self._lock:
            self._take(-self.bytes)

    def recount(self) -> int:
        """Count all that is kept anew, one by one."""
        with self._lock:
            parts = self._items.values()
            return self._labels.recount(labels for known in parts for _, labels in known.values()) + sum(
                _size(name, first=not number) for known in parts for number, (name, _) in enumerate(known.values())
            )

    def _take(self, grown: int) -> None:
        self._share.take(grown)
        self.bytes += grown

    def select(self, namespace: str, selector: Selector) -> Sequence[NamespacedName]:
        """List the objects whose labels match, sorted by namespace, then name; namespace "" means every one."""
        with self._lock:
            namespaces = [namespace] if namespace else sorted(self._items)
            parts = [self._in_order(each) for each in namespaces]
        if selector.empty:
            return [name for part in parts for name, _ in part]
        matches = selector.matches
        return [name for part in parts for name, kept in part if matches(kept.labels)]

    def _in_order(self, namespace: str) -> tuple[_Item, ...]:
        items = self._sorted.get(namespace)
        if items is None:
            known = self._items.get(namespace)
            if not known:
                return ()
            items = self._sorted[namespace] = tuple(known[name] for name in sorted(known))
        return items


def _name(metadata: Mapping[str, Any]) -> NamespacedName:
    return NamespacedName(optional_text(metadata, "namespace"), text_of(metadata, "name"))


def _in_namespace(name: NamespacedName, known: Mapping[str, _Item]) -> NamespacedName:
    """Return the same name with the text that the namespace's other objects have: all share it."""
    for other, _ in known.values():
        return NamespacedName(other.namespace, name.name)
    return name


def _size(name: NamespacedName, *, first: bool) -> int:
    """Return the bytes of an object without its labels; the first one of a namespace brings that."""
    return _OBJECT_BYTES + bytes_of(name.name) + (_NAMESPACE_BYTES + bytes_of(name.namespace) if first else 0)
