"""What `serving` and the application hand each other where no WSGI is between them: a request, and its response."""

from __future__ import annotations

import re
from random import getrandbits
from typing import NamedTuple

__all__ = ["Fields", "PlainRequest", "Response", "audit_id_of", "common_fields"]

# Header fields in their order, names and values; of a request the names are in upper case.
Fields = tuple[tuple[str, str], ...]


class PlainRequest(NamedTuple):
    """A GET without a body, and without anything that changes how its connection goes on."""

    target: str
    """As it came over the wire."""
    fields: Fields
    certificate: bytes | None
    """The client's, DER, which nobody has judged yet; None where it showed none."""


class Response(NamedTuple):
    """What a client gets: HTTP's framing (status line, Date, Connection, Content-Length) is for who writes it."""

    code: int
    content_type: str
    body: bytes
    fields: Fields = ()
    """Header fields besides those of the framing and Content-Type."""


# As k8s.io/apiserver sends them.
_COMMON = (("Cache-Control", "no-cache, private"), ("X-Content-Type-Options", "nosniff"))

# Any client may choose the id: it is logged, and so it must look like one.
_AUDIT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def audit_id_of(given: str = "") -> str:
    """Return a request's audit id: the client's if it is well formed, else a new one."""
    return given if _AUDIT_ID.match(given) else _new_id()


def _new_id() -> str:
    """Return a UUID of version 4. It is no secret, and the system's random numbers would cost twice as much."""
    digits = f"{getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def common_fields(audit_id: str) -> Fields:
    """Return what every response carries, its audit id among it."""
    return (("Audit-Id", audit_id), *_COMMON)
