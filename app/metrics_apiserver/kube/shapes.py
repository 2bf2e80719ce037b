"""What is read of the cluster's JSON: each place has the type that it must have, or the whole document is refused.

JSON may have null, a number or a list in any place, and what is stored here is sorted, hashed and joined later, on
other threads. So nothing of a document is used that did not come through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ShapeError", "items_of", "mapping_of", "metadata_of", "object_of", "optional_text", "text_of"]


class ShapeError(TypeError):
    """The document has something else in this place."""


def object_of(value: object) -> Mapping[str, Any]:
    """Return a value that is a JSON object. Raises ShapeError."""
    if not isinstance(value, dict):
        raise ShapeError("not an object")
    return value


def mapping_of(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object of a key, empty where it is left out or null. Raises ShapeError."""
    value = document.get(key)
    return {} if value is None else object_of(value)


def items_of(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list of a key, none where it is left out or null. Raises ShapeError."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ShapeError(f"{key} is not a list")
    return [object_of(item) for item in value]


def optional_text(document: Mapping[str, Any], key: str) -> str:
    """Return the text of a key, "" where it is left out or null. Raises ShapeError."""
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ShapeError(f"{key} is not a text")
    return value


def text_of(document: Mapping[str, Any], key: str) -> str:
    """Return the text of a key, which is not empty. Raises ShapeError."""
    value = optional_text(document, key)
    if not value:
        raise ShapeError(f"{key} is missing")
    return value


def metadata_of(item: object) -> Mapping[str, Any]:
    """Return an object's metadata. Raises ShapeError."""
    return object_of(object_of(item).get("metadata"))
