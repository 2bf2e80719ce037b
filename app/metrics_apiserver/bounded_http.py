"""Answers over HTTP that end: a deadline and a number of bytes for each, whatever the server does.

A socket's timeout begins anew with every piece that it receives, and `http.client` reads heads, the lines between
chunks and trailers piece by piece: a server that drips holds its client for ever. So each answer is read through a
reader that knows its deadline and counts its bytes, below all parsing. It is for whoever asks another server: the
cluster, or one that a provider reads.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from functools import partial
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, SSLError
from urllib3.util.ssl_ import resolve_cert_reqs

from metrics_apiserver.connecting import connect
from metrics_apiserver.verification import client_context

__all__ = [
    "AnswerTooLargeError",
    "BoundedConnection",
    "BoundedHTTPSConnection",
    "Bounds",
    "bound_pools",
    "bounds_of",
    "read_body",
]

# Until somebody allows more: http.client alone would read a hundred lines of 64 KiB, and any number of interim heads.
_HEAD_BYTES = 256 * 1024
_CHUNK = 64 * 1024
# One TLS record: a larger piece would have its timeout begin anew inside the library.
_SENT_AT_ONCE = 16 * 1024


class AnswerTooLargeError(HTTPError):
    """The answer has more bytes than are read of it."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer has more than {most} bytes")


class Bounds:
    """Until when what is under way on a connection has to be over, and how many bytes may still come."""

    __slots__ = ("_deadline", "_most", "_received", "_renewed", "_since", "_within", "quiet")

    def __init__(self) -> None:
        self.begin(None)

    def begin(self, seconds: float | None) -> None:
        """Bound what begins now to so many seconds, and to the bytes of a head."""
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._most, self._received = _HEAD_BYTES, 0
        self._within: float | None = None
        self._renewed = time.monotonic()
        self._since: float | None = None
        # How long there may be silence between two pieces of an answer; None: until its deadline.
        self.quiet: float | None = None

    def allow(self, *, most: int, deadline: float | None = None, within: float | None = None) -> None:
        """Let so many bytes come from now on, until `deadline` if one is given.

        With `within` they are for one piece of an answer without an end: it has to be whole so many seconds after its
        first byte, and `renew` begins the next one.
        """
        self._most, self._within = most, within
        self._deadline = self._deadline if deadline is None else deadline
        self.renew()

    def renew(self, *, begun: bool = False) -> None:
        """Let the next piece of the answer come; with `begun` some of it is here already."""
        self._received, self._renewed = 0, time.monotonic()
        self._since = self._renewed if begun else None

    def left(self) -> float | None:
        """Return the seconds that are left, None for any number. Raises TimeoutError when there are none."""
        ends = [] if self._deadline is None else [self._deadline]
        if self._since is None and self.quiet is not None:
            ends.append(self._renewed + self.quiet)
        if self._since is not None and self._within is not None:
            ends.append(self._since + self._within)
        if not ends:
            return None
        left = min(ends) - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the answer is over")
        return left

    @property
    def silent(self) -> bool:
        """Whether nothing has come for as long as there may be silence."""
        quiet = self.quiet
        return quiet is not None and self._since is None and time.monotonic() >= self._renewed + quiet

    def received(self, count: int) -> None:
        """Count bytes. Raises AnswerTooLargeError when there are too many."""
        self._received += count
        if count and self._since is None:
            self._since = time.monotonic()
        if self._received > self._most:
            raise AnswerTooLargeError(self._most)


class _Reader(io.RawIOBase):
    """Reads a socket within the bounds; `raw` is the library's own reader, which knows when to close the socket."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, bounds: Bounds) -> None:
        self._raw, self._sock, self._bounds = raw, sock, bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._bounds.left())
        count = self._raw.readinto(buffer)
        self._bounds.received(count or 0)
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, bounds: Bounds, **keywords: Any) -> None:
        super().__init__(sock, *arguments, **keywords)
        self.fp: Any = io.BufferedReader(_Reader(self.fp.detach(), sock, bounds))


class BoundedConnection(HTTPConnection):
    """A connection on which nothing takes longer, and no answer is larger, than `bounds` says.

    urllib3 sets `timeout` twice in a request: before it connects, and before it reads. Each begins a deadline: that of
    connecting, TLS and sending together, and that of the head, to which `read_body` adds the body.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.bounds = Bounds()
        super().__init__(*arguments, **keywords)
        # What is called, and nothing else.
        self.response_class = partial(_Response, bounds=self.bounds)  # type: ignore[assignment]

    @property
    def timeout(self) -> Any:
        """The seconds that urllib3 gave to what is under way."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: Any) -> None:
        self._timeout = seconds
        self.bounds.begin(seconds if isinstance(seconds, int | float) else None)

    def _new_conn(self) -> socket.socket:
        # The library gives all of the time to each address of a name, and none to looking it up. Errors are its own.
        try:
            sock = connect(
                self._dns_host,
                self.port,
                self.bounds.left,
                source_address=self.source_address,
                socket_options=self.socket_options,
            )
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(
                self, f"Connection to {self.host} timed out. (connect timeout={self.timeout})"
            ) from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
        # What connecting has left is for TLS.
        sock.settimeout(self.bounds.left())
        return sock

    def send(self, data: Any) -> None:
        """Send bytes within the bounds."""
        if self.sock is None:
            self.connect()
        with memoryview(data) as view:
            for start in range(0, len(view), _SENT_AT_ONCE):
                self.sock.settimeout(self.bounds.left())
                super().send(view[start : start + _SENT_AT_ONCE])


class BoundedHTTPSConnection(BoundedConnection, HTTPSConnection):
    """The same with TLS, which verifies as `verification` says; also on the way through a proxy that speaks TLS."""

    def connect(self) -> None:
        """Connect; files of CAs are read anew for each connection, unless the pool has a context of its own."""
        given, given_for_proxy = self.ssl_context, self.proxy_config
        self.ssl_context = given or self._context()
        if given_for_proxy is not None and given_for_proxy.ssl_context is None:
            self.proxy_config = given_for_proxy._replace(ssl_context=self._context())
        try:
            super().connect()
        finally:
            self.ssl_context, self.proxy_config = given, given_for_proxy

    def _context(self) -> ssl.SSLContext:
        try:
            context = client_context(self.ca_certs, self.ca_cert_data)
        except OSError as error:
            raise SSLError(error) from error
        # What a kubeconfig may say (insecure-skip-tls-verify); urllib3 sets the rest.
        if resolve_cert_reqs(self.cert_reqs) == ssl.CERT_NONE:
            context.check_hostname = False
        return context


def bound_pools(manager: urllib3.PoolManager) -> None:
    """Have each connection that this manager makes from now on be a bounded one, also those through a proxy."""
    manager.pool_classes_by_scheme = {
        scheme: _bounded_pool(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _bounded_pool(pool: type[urllib3.HTTPConnectionPool]) -> type[urllib3.HTTPConnectionPool]:
    plain: Any = pool.ConnectionCls
    if issubclass(plain, BoundedConnection):
        return pool
    bounded = BoundedHTTPSConnection if issubclass(plain, HTTPSConnection) else BoundedConnection
    connection = type(f"Bounded{plain.__name__}", (bounded, plain), {})
    # Its name is in urllib3's sentences.
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def bounds_of(response: urllib3.BaseHTTPResponse) -> Bounds:
    """Return the bounds of an answer of which nothing but the head was read."""
    connection = response.connection
    assert isinstance(connection, BoundedConnection)
    return connection.bounds


def read_body(
    response: urllib3.BaseHTTPResponse, *, most: int, deadline: float | None = None, decode: bool = False
) -> bytearray:
    """Read the body of an answer, of `most` bytes, until `deadline`, or that of the head where there is none.

    Raises AnswerTooLargeError and urllib3's errors; the caller closes the response then, of which half is read.
    """
    # What is on the wire beside the body: sizes of chunks and trailers.
    bounds_of(response).allow(most=2 * most, deadline=deadline)
    body = bytearray()
    while chunk := response.read1(_CHUNK, decode_content=decode):
        body += chunk
        if len(body) > most:
            raise AnswerTooLargeError(most)
    return body
