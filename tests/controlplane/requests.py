"""Requests of many identities, as they go over the wire: header fields in their order, repeated ones too."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.server import LiveServer

__all__ = ["Fields", "Files", "Reply", "request", "request_on"]

# The files of a client certificate and its key; None for a client without one.
Files = tuple[Path, Path] | None
Fields = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(server: LiveServer, path: str, *, certificate: Files = None, fields: Fields = ()) -> Reply:
    """GET a path on a connection of its own."""
    connection = server.connect_as(certificate)
    with contextlib.closing(connection):
        return request_on(connection, path, fields)


def request_on(connection: http.client.HTTPSConnection, path: str, fields: Fields = ()) -> Reply:
    """GET a path on an open connection."""
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in fields:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    return Reply(response.status, response.headers, response.read())
