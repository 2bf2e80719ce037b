"""What this server writes of HTTP itself, by one function; over WSGI it is gunicorn that writes."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from werkzeug.http import HTTP_STATUS_CODES

from metrics_apiserver.exchange import Response

__all__ = ["write_response"]


def write_response(response: Response, *, close: bool, with_body: bool = True) -> bytes:
    """Return the bytes of a response, in the form that gunicorn and Flask give theirs.

    `close`: it is the last one of its connection, and says so. `with_body` is False for a HEAD.
    """
    fields = "".join(f"{name}: {value}\r\n" for name, value in response.fields)
    head = (
        f"HTTP/1.1 {_status_line(response.code)}\r\nServer: gunicorn\r\nDate: {_date(int(time.time()))}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n{fields}\r\n"
    )
    return head.encode("ascii") + (response.body if with_body else b"")


@lru_cache(maxsize=64)
def _status_line(code: int) -> str:
    # As Werkzeug writes it.
    return f"{code} {HTTP_STATUS_CODES.get(code, 'unknown').upper()}"


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
