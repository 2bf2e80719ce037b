"""What `serving` and the application hand each other where no WSGI is between them: a plain request, and its answer."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Answer", "Fields", "PlainRequest"]

# Header fields in their order, names and values; of a request the names are in upper case.
Fields = tuple[tuple[str, str], ...]


class PlainRequest(NamedTuple):
    """A GET without a body, and without anything that changes how its connection goes on."""

    target: str
    """As it came over the wire."""
    fields: Fields
    certificate: bytes | None
    """The client's, DER, which nobody has judged yet; None where it showed none."""


class Answer(NamedTuple):
    """What a client gets: HTTP's framing (status line, Date, Connection, Content-Length) is for who writes it."""

    code: int
    content_type: str
    body: bytes
    fields: Fields = ()
    """Header fields besides those of the framing and Content-Type."""
