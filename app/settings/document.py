"""The file of `--config`: what it says, and on which line it says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Document", "Place", "written_place"]

# Where something stands below the top: keys, and the numbers of list items.
Place = tuple[str | int, ...]

_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping of settings with the lines of its keys; empty where the file is none, as `problems` say."""

    path: str = ""
    content: bytes = b""
    values: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    _root: yaml.Node | None = None

    @classmethod
    def read(cls, path: str) -> Document:
        """Read a file; what is wrong with it as a whole is its problem."""
        try:
            return cls.parse(path, Path(path).read_bytes())
        except OSError as error:
            return cls(path, problems=(f"--config={path}: {error.strerror}",))

    @classmethod
    def parse(cls, path: str, content: bytes) -> Document:
        """Read what a file holds."""
        try:
            loader = yaml.SafeLoader(content.decode("utf-8-sig"))
            root = loader.get_single_node()
            if root is None:
                return cls(path, content)
            # Before the values are made: that resolves merges, and keeps the last of two keys without a word.
            problems = tuple(_duplicate_keys(root, path))
            values = loader.construct_document(root)
        except yaml.MarkedYAMLError as error:
            # Not the library's own text, which quotes the line: there may be a password in it.
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            return cls(path, content, problems=(f"{path}:{line}: not YAML: {error.problem or error.context}",))
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
            return cls(path, content, problems=(f"{path}:1: not YAML: {' '.join(str(error).split())}",))
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            return cls(path, content, problems=(*problems, f"{path}:1: a mapping of settings is expected"))
        return cls(path, content, values, problems, root)

    def at(self, place: Place) -> str:
        """Give `FILE:LINE`: the line of this key or list item, or of the nearest around it that is there."""
        line = self._root.start_mark.line if self._root is not None else 0
        node = self._root
        for step in place:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return f"{self.path}:{line + 1}"


def written_place(place: Place) -> str:
    """Write a place as people do: `providers[1].onEmpty`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """Find the node under a key or number, with the line on which it begins."""
    if isinstance(node, yaml.MappingNode):
        # The last is the one that counts; what was merged in stands first.
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None


def _duplicate_keys(root: yaml.Node, path: str) -> Iterator[str]:
    """Find the keys that stand twice in one mapping; a node that is referred to from several places counts once."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            yield from _duplicates_of(node, path)
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        fresh = [child for child in children if id(child) not in seen]
        seen.update(map(id, fresh))
        waiting += reversed(fresh)


def _duplicates_of(node: yaml.MappingNode, path: str) -> Iterator[str]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in lines:
            yield f"{path}:{line}: the key {key.value} is given twice, first on line {lines[name]}"
        else:
            lines[name] = line
