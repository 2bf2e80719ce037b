"""The label sets of a store: equal ones are one, and each is counted in bytes as long as an object has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metrics_apiserver.kube.kept import bytes_of

__all__ = ["LabelSet", "LabelSets"]

# Longer sets are hardly those of a Deployment's pods, and looking for an equal one costs what its length is.
_SHARED_BELOW = 2048
# How many are looked through for an equal one; of more, equal ones are only not shared.
_MOST_SHARED = 4096
# What a set, each of its labels and each of all keys take beside their texts, with their places in tables.
_SET_BYTES = 240
_LABEL_BYTES = 40
_KEY_BYTES = 160


class LabelSet:
    """Labels, and how many objects have them."""

    __slots__ = ("bytes", "labels", "uses")

    def __init__(self, labels: dict[str, str], size: int) -> None:
        self.labels: Mapping[str, str] = labels
        self.bytes = size
        self.uses = 0


class LabelSets:
    """The sets in use. Keys are few, so that each is kept and counted once; values are counted with each set."""

    def __init__(self) -> None:
        self._shared: dict[int, LabelSet] = {}
        self._keys: dict[str, tuple[str, int]] = {}
        self._none = LabelSet({}, 0)

    def add(self, found: Mapping[str, str]) -> tuple[LabelSet, int]:
        """Return the set with these labels for one object more, and how many bytes it brings."""
        if not found:
            return self._none, 0
        number = _number(found)
        shared = None if number is None else self._shared.get(number)
        # Two sets may have one number.
        if shared is not None and shared.labels == found:
            return shared, self.keep(shared)
        kept = LabelSet({self._keys.get(key, (key, 0))[0]: value for key, value in found.items()}, _size(found))
        if number is not None:
            if len(self._shared) >= _MOST_SHARED:
                del self._shared[next(iter(self._shared))]
            self._shared[number] = kept
        return kept, self.keep(kept)

    def keep(self, kept: LabelSet) -> int:
        """Have one object more have a set, and return the bytes that it brings."""
        if kept is self._none:
            return 0
        kept.uses += 1
        if kept.uses > 1:
            return 0
        grown = kept.bytes
        for key in kept.labels:
            same, uses = self._keys.get(key, (key, 0))
            self._keys[same] = (same, uses + 1)
            grown += 0 if uses else _KEY_BYTES + bytes_of(key)
        return grown

    def drop(self, kept: LabelSet) -> int:
        """Have one object fewer have a set, and return the bytes that go with it."""
        if kept is self._none:
            return 0
        kept.uses -= 1
        if kept.uses:
            return 0
        gone = kept.bytes
        for key in kept.labels:
            same, uses = self._keys[key]
            if uses > 1:
                self._keys[key] = (same, uses - 1)
            else:
                del self._keys[key]
                gone += _KEY_BYTES + bytes_of(key)
        number = _number(kept.labels)
        if number is not None and self._shared.get(number) is kept:
            del self._shared[number]
        return gone

    def recount(self, sets: Iterable[LabelSet]) -> int:
        """Count the bytes of sets anew."""
        different = {id(each): each for each in sets if each.labels}.values()
        keys = {key for each in different for key in each.labels}
        return sum(_size(each.labels) for each in different) + sum(_KEY_BYTES + bytes_of(key) for key in keys)


def _number(labels: Mapping[str, str]) -> int | None:
    """Return a number that equal sets have in common; None for one that is not shared."""
    if sum(map(len, labels)) + sum(map(len, labels.values())) >= _SHARED_BELOW:
        return None
    return hash(frozenset(labels.items()))


def _size(labels: Mapping[str, str]) -> int:
    return _SET_BYTES + sum(_LABEL_BYTES + bytes_of(value) for value in labels.values())
