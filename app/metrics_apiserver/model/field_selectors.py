"""Field selectors: read from text, as apimachinery's `fields.ParseSelector` reads them.

Terms stand between commas; a backslash escapes a backslash, a comma and an equals sign in a value.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["FieldSelectorError", "FieldTerm", "parse"]

_TERMS: Final = re.compile(r"(?:[^\\,]|\\.?)+", re.DOTALL)
_TERM: Final = re.compile(r"((?:[^!=]|!(?!=))*)(!=|==?)(.*)\Z", re.DOTALL)
# What of a value is not what it says: an escape, or what should have been one.
_SPECIAL: Final = re.compile(r"\\(.?)|[,=]", re.DOTALL)


class FieldSelectorError(ValueError):
    """The text is not a field selector; the sentence is upstream's."""


class FieldTerm(NamedTuple):
    """One condition: the field, `=`, `==` or `!=`, and the value that is meant."""

    field: str
    operator: str
    value: str

    @property
    def exact(self) -> bool:
        """Whether the field has to have this value."""
        return self.operator != "!="


def parse(text: str) -> list[FieldTerm]:
    """Return the terms of a field selector; an empty text has none. Raises FieldSelectorError."""
    terms = []
    for written in _TERMS.findall(text):
        found = _TERM.match(written)
        if found is None:
            raise FieldSelectorError(f"invalid selector: '{text}'; can't understand '{written}'")
        field, operator, value = found.groups()
        terms.append(FieldTerm(field, operator, _SPECIAL.sub(_unescaped, value)))
    return terms


def _unescaped(special: re.Match[str]) -> str:
    escaped: str | None = special[1]
    if escaped is None:
        raise FieldSelectorError(f"invalid field selector: unescaped character in value: {ord(special[0])}")
    if escaped not in ("\\", ",", "="):
        raise FieldSelectorError(f"invalid field selector: invalid escape sequence: {special[0]}")
    return escaped
