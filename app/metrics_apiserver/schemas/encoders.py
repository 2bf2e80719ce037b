"""Wire documents → bytes: JSON and YAML, as the apiserver writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson
import yaml

__all__ = ["JSON", "MEDIA_TYPES", "YAML", "encode"]

JSON = "application/json"
YAML = "application/yaml"
MEDIA_TYPES = (JSON, YAML)
_ITEMS, _SLICE = "items", 1000


def encode(document: Any, *, media_type: str = JSON, pretty: bool = False) -> bytes:
    """Write a document; compact JSON ends with a newline, indented JSON does not, as Go's encoder has it."""
    if media_type == YAML:
        text: str = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, width=float("inf"))
        return text.encode()
    if pretty:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2)
    items = document.get(_ITEMS, ()) if isinstance(document, dict) else ()
    if len(items) > _SLICE and next(reversed(document)) == _ITEMS:
        return _in_slices(document, items)
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _in_slices(document: dict[str, Any], items: Sequence[Any]) -> bytes:
    """Write a long list piece by piece: while one is written, no other thread has its turn."""
    begin = orjson.dumps({**document, _ITEMS: []}).removesuffix(b"]}")
    slices = (orjson.dumps(items[start : start + _SLICE])[1:-1] for start in range(0, len(items), _SLICE))
    return b"".join((begin, b",".join(slices), b"]}\n"))


class _Dumper(yaml.SafeDumper):
    """Writes what readers of YAML 1.1 and 1.2 alike take for the same strings, quoted as Go quotes them."""

    def choose_scalar_style(self) -> str:
        style: str = super().choose_scalar_style()
        return '"' if style == "'" else style

    def ignore_aliases(self, data: Any) -> bool:
        return True


# PyYAML leaves these plain, but a reader of YAML 1.2 takes `1e3` for a number, and one of 1.1 `y` for a boolean.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?\Z|0o[0-7]+\Z"),
    list("-+.0123456789"),
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]\Z"), list("yYnN"))
