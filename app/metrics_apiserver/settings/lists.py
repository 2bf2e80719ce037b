"""Settings that are a list of texts, and those that are true or false."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

__all__ = ["BooleanField", "ListField"]


class ListField(fields.Field[tuple[str, ...]]):
    """Reads `a,b`, as flags and variables have it, or a list of texts, as a file may; blanks around a text go.

    Empty texts are left out. Where an empty list means that anything goes they stay, with `keeps_empty`, as in Go: a
    list of nothing but empty texts must not become that one.
    """

    def __init__(self, *, keeps_empty: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._keeps_empty = keeps_empty

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> tuple[str, ...]:
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValidationError("Not a list of texts: write it as a,b.")
        if value == "":
            return ()
        return tuple(text.strip() for text in texts if self._keeps_empty or text.strip())


class BooleanField(fields.Boolean):
    """Reads `true` and `false` and nothing like them."""

    default_error_messages = {"invalid": "Must be true or false."}  # noqa: RUF012 - marshmallow's own way to say it

    def __init__(self) -> None:
        super().__init__(truthy={True, "true"}, falsy={False, "false"})
