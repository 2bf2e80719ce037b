"""One TLS connection: a socket's methods over pyOpenSSL, in which nothing waits for longer than its deadline.

Without waiting, `advance` takes a connection through its handshake and the head of the next request; a thread is needed
only when the head is there. What then reads and writes waits with `poll`, up to the deadline of the body or the answer.
OpenSSL's errors come out as the ones of `ssl` and OSError, which is all that gunicorn knows. A connection belongs to
one thread at a time.
"""

from __future__ import annotations

import errno
import re
import select
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from OpenSSL import SSL

__all__ = ["DEADLINES", "HEAD_LIMIT", "Deadlines", "TLSConnection"]

T = TypeVar("T")

# The most that a TLS record holds: what is read in this size leaves nothing in OpenSSL, where poll cannot see it.
_RECORD = 16384
# The most of a head that is collected; the apiserver's own limit (Go's http.DefaultMaxHeaderBytes) is 1 MiB.
HEAD_LIMIT = 1 << 20
_BARE_LF = re.compile(rb"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a peer has in all, not between two bytes."""

    handshake: float = 5.0
    head: float = 5.0
    body: float = 30.0
    # For one answer; a long one gets a second more for each MiB.
    answer: float = 30.0


DEADLINES = Deadlines()


class _EndOfStream(Exception):  # noqa: N818 - no error: the peer has said all it had to say
    """The peer closed its side."""


class TLSConnection:
    """The server's side of one connection; `deadline` is when what the peer is at now must be done."""

    def __init__(self, context: SSL.Context, sock: socket.socket, deadlines: Deadlines = DEADLINES) -> None:
        sock.settimeout(0)
        self._socket = sock
        self._tls = SSL.Connection(context, sock)
        self._tls.set_accept_state()
        self._deadlines = deadlines
        self._timeout: float | None = None
        self._handshaken = False
        self._ended = False
        # Decrypted, and not yet asked for.
        self._ahead = bytearray()
        self._searched = 0
        self._body_deadline: float | None = None
        self.deadline: float | None = time.monotonic() + deadlines.handshake
        # The header fields of the request that is being answered, as they came (see hooks.pre_request).
        self.header_pairs: tuple[tuple[str, str], ...] = ()

    # What the worker's loop asks.

    def advance(self, line_limit: int) -> int:
        """Go on without waiting; give the selectors event to wait for, or 0 when there is something to parse.

        Also 0 when the head cannot become a good one any more, so that the parser says so: a bare LF, a request line
        over `line_limit`, more than HEAD_LIMIT bytes.
        """
        self._timeout = 0.0
        if self.deadline is None:
            self.deadline = time.monotonic() + self._deadlines.head
        try:
            self.do_handshake()
            while not self._head_is_decided(line_limit):
                self._ahead += self._run(lambda: self._tls.recv(_RECORD))
        except _EndOfStream:
            self._ended = True
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        self.deadline = self._body_deadline = None
        self._searched = 0
        return 0

    def _head_is_decided(self, line_limit: int) -> bool:
        ahead = self._ahead
        start = max(0, self._searched - 3)
        self._searched = len(ahead)
        if ahead.find(b"\r\n\r\n", start) >= 0 or _BARE_LF.search(ahead, start) or len(ahead) > HEAD_LIMIT:
            return True
        # Two bytes for the line's end, and two for an empty line before it.
        return len(ahead) > line_limit + 4 and ahead.find(b"\r\n", 2, line_limit + 4) < 0

    @property
    def head_too_large(self) -> bool:
        """Whether more than HEAD_LIMIT bytes came without an end of the head."""
        return len(self._ahead) > HEAD_LIMIT and b"\r\n\r\n" not in self._ahead

    def unread(self, data: bytes) -> None:
        """Take back what was read and belongs to the next request."""
        self._ahead[:0] = data

    @property
    def readable(self) -> bool:
        """Whether bytes are here already, where poll cannot see them."""
        return bool(self._ahead) or self._tls.pending() > 0

    def discard(self) -> bool:
        """Drop what a peer still sends after the answer, still encrypted; say whether it may send more."""
        try:
            return bool(self._socket.recv(1 << 16))
        except BlockingIOError:
            return True
        except OSError:
            return False

    # What gunicorn asks of a socket.

    def do_handshake(self) -> None:
        """Complete the handshake, by its deadline."""
        if not self._handshaken:
            try:
                self._run(self._tls.do_handshake, self.deadline)
            except _EndOfStream as error:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer left during the handshake") from error
            self._handshaken = True
            self.deadline = time.monotonic() + self._deadlines.head

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Read up to `size` bytes; none at the end of the stream."""
        if self._ahead:
            data = bytes(self._ahead[:size])
            del self._ahead[:size]
            return data
        if self._ended:
            return b""
        if self._body_deadline is None:
            self._body_deadline = time.monotonic() + self._deadlines.body
        try:
            return self._run(lambda: self._tls.recv(min(size, _RECORD)), self._body_deadline)
        except _EndOfStream:
            self._ended = True
            return b""

    def send(self, data: bytes | bytearray | memoryview, _flags: int = 0) -> int:
        """Write all of `data`, as `sendall` does, and give its length."""
        self.sendall(data)
        return memoryview(data).nbytes

    def sendall(self, data: bytes | bytearray | memoryview, _flags: int = 0) -> None:
        """Write all of `data`, by the deadline of an answer."""
        left = memoryview(data).cast("B")
        deadline = time.monotonic() + self._deadlines.answer + len(left) / (1 << 20)
        while left:
            record = left[:_RECORD]
            try:
                sent = self._run(lambda: self._tls.send(record), deadline)  # noqa: B023 - called before the loop goes on
            except _EndOfStream as error:
                raise BrokenPipeError(errno.EPIPE, "the peer closed the connection") from error
            left = left[sent:]

    def shutdown(self, how: int) -> None:
        """Say goodbye in TLS and TCP without waiting for an answer; nothing is read afterwards."""
        self._refuse_closed()
        self._ended = True
        self._ahead.clear()
        # Before the handshake is over, and after an error, OpenSSL has no goodbye to say.
        with suppress(SSL.Error):
            self._tls.shutdown()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self._ended = True
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the signature is the standard library's
        """Wait up to the deadlines, or not at all."""
        self._timeout = None if flag else 0.0

    def settimeout(self, seconds: float | None) -> None:
        """Wait so long in each call, and never beyond the deadlines."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """What `settimeout` said."""
        return self._timeout

    def getpeername(self) -> Any:
        """The peer's address."""
        return self._socket.getpeername()

    def getsockname(self) -> Any:
        """Our own address."""
        return self._socket.getsockname()

    def selected_alpn_protocol(self) -> str | None:
        """The protocol that ALPN agreed on, None when the client offered none that is served."""
        return self._tls.get_alpn_proto_negotiated().decode("ascii") or None

    def version(self) -> str:
        """The version of TLS: TLSv1.2 or TLSv1.3."""
        return self._tls.get_protocol_version_name()

    def _run(self, operation: Callable[[], T], deadline: float | None = None) -> T:
        """Call into OpenSSL until it is through, waiting as long as allowed, and rename its errors."""
        self._refuse_closed()
        while True:
            try:
                return operation()
            except SSL.WantReadError:
                self._wait(select.POLLIN, deadline)
            except SSL.WantWriteError:
                self._wait(select.POLLOUT, deadline)
            except SSL.ZeroReturnError as error:
                raise _EndOfStream from error
            except SSL.SysCallError as error:
                if error.args[0] == -1:
                    raise _EndOfStream from error
                # Whatever the network's reason: gunicorn takes other numbers than this one for mistakes of ours.
                raise ConnectionResetError(errno.ECONNRESET, f"the connection is gone: {error.args[1]}") from error
            except SSL.Error as error:
                raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"TLS failed: {error.args}") from error

    def _refuse_closed(self) -> None:
        """OpenSSL holds on to the descriptor's number, which may be another connection's by now."""
        if self._socket.fileno() < 0:
            raise OSError(errno.ENOTCONN, "the connection is closed")

    def _wait(self, event: int, deadline: float | None) -> None:
        if self._timeout == 0.0:
            if event == select.POLLIN:
                raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "nothing to read yet")
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "no room to write yet")
        ours = None if deadline is None else deadline - time.monotonic()
        limits = [limit for limit in (ours, self._timeout) if limit is not None]
        poll = select.poll()
        poll.register(self._socket, event)
        if poll.poll(max(0.0, min(limits)) * 1000 if limits else None):
            return
        if ours is not None and (self._timeout is None or ours <= self._timeout):
            raise ConnectionResetError(errno.ECONNRESET, "the peer took too long")
        raise TimeoutError("timed out")
