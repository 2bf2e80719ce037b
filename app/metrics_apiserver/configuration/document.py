"""The file of `--config`: what it says, and on which line it says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metrics_apiserver.settings import Place, Problem
from metrics_apiserver.yaml_values import MOST_BYTES, YAMLReader, YAMLValueError, read_bounded

__all__ = ["Document"]


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping of settings with the lines of its keys; empty where the file is none, as `problems` say."""

    path: str = ""
    content: bytes = b""
    values: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    # The whole with its line, as YAMLReader gives it with `lines`; made when a line is asked for first.
    _lines: list[tuple[int, Any]] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def read(cls, path: str) -> Document:
        """Read a file; what is wrong with it as a whole is its problem."""
        try:
            return cls.parse(path, read_bounded(path))
        except OSError as error:
            return cls(path, problems=(Problem(f"--config={path}: {error.strerror}"),))

    @classmethod
    def parse(cls, path: str, content: bytes) -> Document:
        """Read what a file holds."""
        if len(content) > MOST_BYTES:
            return cls(path, problems=(Problem(f"the file has more than {MOST_BYTES // 2**20} MiB", file=path),))
        try:
            reader = YAMLReader(content.decode("utf-8-sig"))
            _, values = reader.document()
        except YAMLValueError as error:
            return cls(path, content, problems=(Problem(f"not YAML: {error}{_hint(error)}", (), path, error.line),))
        except UnicodeDecodeError as error:
            return cls(path, content, problems=(Problem(f"not YAML: {error}", (), path, 1),))
        problems = tuple(Problem(sentence, (), path, line) for line, sentence in reader.duplicates)
        if values is None:
            return cls(path, content)
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            problems += (Problem("a mapping of settings is expected", (), path, 1),)
            return cls(path, content, problems=problems)
        return cls(path, content, values, problems)

    def line(self, place: Place) -> int:
        """Return the line of this key or list item, or of the nearest around it that is there."""
        line, inside = self._root()
        for step in place:
            found = _child(inside, step)
            if found is None:
                break
            line, inside = found
        return line

    def _root(self) -> tuple[int, Any]:
        if not self.values:
            return 1, None
        if not self._lines:
            self._lines.append(YAMLReader(self.content.decode("utf-8-sig"), lines=True).document())
        return self._lines[0]


def _child(inside: Any, step: str | int) -> tuple[int, Any] | None:
    """Find what stands under a key or number, with its line."""
    found: tuple[int, Any] | None = None
    if isinstance(inside, dict):
        found = inside.get(step)
    elif isinstance(inside, list) and isinstance(step, int) and step < len(inside):
        found = inside[step]
    return found


def _hint(error: YAMLValueError) -> str:
    """Return what is most likely meant where YAML reads a star as the name of something before."""
    star = any(words in str(error) for words in ("undefined alias", "expected alphabetic or numeric character"))
    return '; a glob that begins with * needs quotes: "*-depth"' if star else ""
