"""Text in double quotes, as Go writes it: errors of this server read as upstream's."""

from __future__ import annotations

from typing import Final

__all__ = ["quoted"]

# One character of each kind has its own escape; the rest are written by their number.
_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"
}  # fmt: skip


def quoted(text: str) -> str:
    """Return a text as Go's `%q` writes it: in double quotes, with what cannot be printed escaped."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if escape := _ESCAPES.get(character):
        return escape
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
