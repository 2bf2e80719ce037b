"""YAML → plain values, event by event: of bounded depth and size, and with the line of each key where it is asked for.

The library's own way makes a tree of nodes first, each with two marks: ten times the memory of the values. Parser,
resolver and constructors are the library's here, too; only the tree is left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

__all__ = ["MOST_BYTES", "MOST_VALUES", "YAMLReader", "YAMLValueError", "read_bounded"]

# A ConfigMap holds one MiB.
MOST_BYTES = 16 * 1024 * 1024
# Keys count as well.
MOST_VALUES = 2_000_000
# What aliases stand for is written once and costs nothing here, but whoever walks over it meets it every time.
MOST_ALIASED_VALUES = 100_000
MOST_LEVELS = 100
# To read one takes time by the square of its length; the largest of use has some 20 digits.
MOST_NUMBER_CHARACTERS = 400
# Unlike texts' their hashes can be chosen, and a mapping's keys with one hash are each compared with all others.
MOST_OTHER_KEYS = 256
# What is quoted of a key: an alias may stand for a long one, again and again.
_QUOTED_CHARACTERS = 200
# The C parser names no token in what it says; the other one does, and takes a second for so many characters.
_REWORDED_CHARACTERS = 100_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_NO_KEY, _MERGE = object(), object()


class YAMLValueError(ValueError):
    """The text is not used; the sentence quotes no value of it. `line` counts from 1."""

    def __init__(self, line: int, sentence: str) -> None:
        self.line = line
        super().__init__(sentence)


def read_bounded(path: str | Path) -> bytes:
    """Read a file of at most MOST_BYTES, and one byte more of a longer one. Raises OSError."""
    with Path(path).open("rb") as file:
        return file.read(MOST_BYTES + 1)


class _Scalars(SafeConstructor, Resolver):
    """What the library makes of a scalar."""

    def __init__(self) -> None:
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def tag(self, event: Any) -> str:
        if event.tag is None or event.tag == "!":
            return str(self.resolve(yaml.ScalarNode, event.value, event.implicit))  # type: ignore[no-untyped-call]
        return str(event.tag)

    def value(self, event: Any, tag: str) -> Any:
        """Return the value. Raises MarkedYAMLError and ValueError."""
        # A lone `=` has a tag of its own, for which there is no constructor.
        if tag in (f"{_TAG}str", f"{_TAG}value"):
            return event.value
        try:
            return self.construct_document(yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark))
        except (LookupError, AttributeError, TypeError) as error:
            # What the constructors raise for `!!bool 7` or `!!timestamp now`.
            raise ValueError(f"not a value of the tag {tag.removeprefix(_TAG)}") from error


class _Open:
    """A mapping or a sequence whose end has not come yet."""

    __slots__ = ("anchor", "begin", "items", "key", "line", "lines", "merged", "values")

    def __init__(self, event: Any, begin: int) -> None:
        self.anchor: str | None = event.anchor
        self.line: int = event.start_mark.line + 1
        # How many values came before it.
        self.begin = begin
        self.items: list[Any] | None = [] if isinstance(event, yaml.SequenceStartEvent) else None
        self.values: dict[Any, Any] = {}
        # Of the keys, where they stand.
        self.lines: dict[Any, int] = {}
        self.merged: dict[Any, Any] = {}
        self.key: Any = _NO_KEY


class YAMLReader:
    """Reads the documents of a text; `duplicates` grows with each key that stands twice: its line and a sentence.

    With `lines`, the values are those of keys and items as pairs: their line, and what is below them; of a scalar None.
    """

    def __init__(self, text: str, *, lines: bool = False, most_values: int = MOST_VALUES) -> None:
        self.duplicates: list[tuple[int, str]] = []
        self._text = text
        self._with_lines = lines
        self._most_values = most_values
        self._scalars = _Scalars()
        self._line = 1
        self._single = self._begun = False
        self._written = self._aliased = self._other_keys = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        # One text for equal keys.
        self._keys: dict[str, str] = {}

    def document(self) -> tuple[int, Any]:
        """Return the only document with its line, None where there is none. Raises YAMLValueError."""
        self._single = True
        (found,) = [*self.documents()] or [(1, None)]
        return found

    def documents(self) -> Iterator[tuple[int, Any]]:
        """Return each document with its line, None for an empty one. Raises YAMLValueError."""
        try:
            loader = _LOADER(self._text)
            try:
                while (event := loader.get_event()) is not None:
                    document = self._take(event)
                    if document is not None:
                        yield document
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            raise _worded(self._text, error, self._line) from None
        except YAMLValueError:
            raise
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # A date that is none, or a character that may not be there; after a quotation mark would be the value.
            sentence = str(error).partition(": '")[0]
            raise YAMLValueError(self._line, " ".join(sentence.split())) from None

    def _take(self, event: Any) -> tuple[int, Any] | None:
        """Take the next event; return the document where it was its last."""
        self._line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
            if event.anchor is not None and value is not _MERGE:
                self._anchors[event.anchor] = value, 1
            found = self._put(value)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
            return None
        elif isinstance(event, yaml.CollectionEndEvent):
            found = self._end()
        elif isinstance(event, yaml.AliasEvent):
            found = self._put(self._alias(str(event.anchor)))
        else:
            if isinstance(event, yaml.DocumentStartEvent):
                if self._single and self._begun:
                    raise YAMLValueError(self._line, "but found another document")
                self._begun = True
                self._written = self._aliased = 0
                self._anchors.clear()
            return None
        return None if self._open else found

    def _scalar(self, event: Any) -> Any:
        self._count()
        tag = self._scalars.tag(event)
        inside = self._open[-1] if self._open else None
        is_key = inside is not None and inside.items is None and inside.key is _NO_KEY
        if tag in (f"{_TAG}int", f"{_TAG}float") and len(event.value) > MOST_NUMBER_CHARACTERS:
            raise YAMLValueError(self._line, f"a number has more than {MOST_NUMBER_CHARACTERS} characters")
        if not is_key:
            return None if self._with_lines else self._scalars.value(event, tag)
        if tag == f"{_TAG}merge":
            return _MERGE
        key = self._scalars.value(event, tag)
        return self._keys.setdefault(key, key) if isinstance(key, str) else key

    def _count(self) -> None:
        self._written += 1
        if self._written > self._most_values:
            raise YAMLValueError(self._line, f"there are more than {self._most_values:,} values in it")

    def _alias(self, anchor: str) -> Any:
        self._count()
        if anchor not in self._anchors:
            inside = any(each.anchor == anchor for each in self._open)
            raise YAMLValueError(
                self._line, "found an alias inside of what it stands for" if inside else "found undefined alias"
            )
        value, size = self._anchors[anchor]
        self._aliased += size
        if self._aliased > MOST_ALIASED_VALUES:
            raise YAMLValueError(self._line, f"aliases stand for more than {MOST_ALIASED_VALUES:,} values")
        return value

    def _begin(self, event: Any) -> None:
        self._count()
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if event.tag not in (None, "!", f"{_TAG}{kind}"):
            raise YAMLValueError(self._line, f"could not determine a constructor for the tag {event.tag!r}")
        if len(self._open) >= MOST_LEVELS:
            raise YAMLValueError(self._line, f"it is nested in more than {MOST_LEVELS} levels")
        self._anchors.pop(event.anchor, None)
        self._open.append(_Open(event, self._written + self._aliased))

    def _end(self) -> tuple[int, Any]:
        ended = self._open.pop()
        value: Any = ended.items
        if value is None:
            # What was merged in stands first, and what is written here hides it.
            value = {**ended.merged, **ended.values} if ended.merged else ended.values
        if ended.anchor is not None:
            self._anchors[ended.anchor] = value, 1 + self._written + self._aliased - ended.begin
        self._line = ended.line
        return self._put(value)

    def _put(self, value: Any) -> tuple[int, Any]:
        """Put a whole value where it belongs; it is the document if it belongs nowhere."""
        line = self._line
        if not self._open:
            return line, value
        inside = self._open[-1]
        if inside.items is not None:
            inside.items.append((line, value) if self._with_lines else value)
        elif inside.key is _NO_KEY:
            self._put_key(inside, value)
        else:
            key, inside.key = inside.key, _NO_KEY
            if key is _MERGE:
                self._merge(inside, value)
            else:
                inside.values[key] = (inside.lines[key], value) if self._with_lines else value
        return line, value

    def _put_key(self, inside: _Open, key: Any) -> None:
        if not isinstance(key, Hashable):
            raise YAMLValueError(self._line, "a key is a text or a number")
        if not isinstance(key, str) and key is not _MERGE:
            self._other_keys += 1
            if self._other_keys > MOST_OTHER_KEYS:
                sentence = f"more than {MOST_OTHER_KEYS} keys are not texts: write them in quotation marks"
                raise YAMLValueError(self._line, sentence)
        if key in inside.lines:
            shown = str(key)[:_QUOTED_CHARACTERS]
            self.duplicates.append((self._line, f"the key {shown} is given twice, first on line {inside.lines[key]}"))
        inside.key = key
        if key is not _MERGE:
            inside.lines[key] = self._line

    def _merge(self, inside: _Open, value: Any) -> None:
        """Merge a mapping in, or several, of which the first counts most."""
        items = reversed(value) if isinstance(value, list) else [(0, value) if self._with_lines else value]
        for item in items:
            mapping = item[1] if self._with_lines else item
            if not isinstance(mapping, dict):
                raise YAMLValueError(self._line, "expected a mapping or list of mappings for merging")
            inside.merged.update(mapping)


def _worded(text: str, error: yaml.MarkedYAMLError, line: int) -> YAMLValueError:
    """Return what is wrong without the library's own quotation of the line: there may be a password in it."""
    if len(text) <= _REWORDED_CHARACTERS:
        try:
            for _ in yaml.parse(text, yaml.SafeLoader):
                pass
        except yaml.MarkedYAMLError as better:
            error = better
    if error.problem_mark is not None:
        line = error.problem_mark.line + 1
    return YAMLValueError(line, str(error.problem or error.context))
