"""The head of a plain GET, read without gunicorn's parser, which reads everything else.

Whatever is accepted here gunicorn's parser accepts too, and reads the same; `tests/serving/test_heads.py` holds the two
against each other.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Head", "plain_get"]

# Of the request line and of a field, in gunicorn's settings; a whole head below it breaks neither.
_MOST_BYTES = 8190
_MOST_FIELDS = 100
# Origin form without a fragment, HTTP/1.1, and fields of visible ASCII; no name with an underscore.
_GET = re.compile(
    rb"GET (/[!\"$-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+.^`|~0-9A-Za-z-]+:[\t -~]*\r\n)*)\r\n",
)
# What changes how the message or the connection goes on.
_NOT_PLAIN = frozenset(
    ["CONTENT-LENGTH", "EXPECT", "TE", "TRAILER", "TRANSFER-ENCODING", "UPGRADE", "X-FORWARDED-PROTO"]
) | frozenset(["X-FORWARDED-PROTOCOL", "X-FORWARDED-SSL"])
# What may not be repeated (RFC 9110 5.3), and what is read here only where it is one field.
_ONCE = frozenset(["CONNECTION", "CONTENT-TYPE", "HOST"])
# All that a Connection field of a plain GET may say, and whether the connection ends. Kubelets' probes say close.
_CLOSES = {"": False, "keep-alive": False, "close": True}


class Head(NamedTuple):
    """The head of a plain GET: the target as it came, and the fields in order, their names in upper case."""

    target: str
    pairs: tuple[tuple[str, str], ...]
    length: int
    """Of the head, in bytes."""
    close: bool
    """Whether the client sends no further request on this connection."""


def plain_get(received: bytes | bytearray) -> Head | None:
    """Read the head that the bytes begin with; None unless it is that of a plain GET."""
    found = _GET.match(received, 0, _MOST_BYTES)
    if found is None:
        return None
    pairs = []
    for line in found[2].decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        pairs.append((name.upper(), value.strip(" \t")))
    names = [name for name, _ in pairs]
    if len(names) > _MOST_FIELDS or not _NOT_PLAIN.isdisjoint(names) or any(names.count(name) > 1 for name in _ONCE):
        return None
    connection = next((value for name, value in pairs if name == "CONNECTION"), "")
    close = _CLOSES.get(connection.lower())
    return None if close is None else Head(found[1].decode("ascii"), tuple(pairs), found.end(), close)
