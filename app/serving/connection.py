"""One TLS connection: a socket's methods over pyOpenSSL, in which nothing waits for longer than its deadline.

The worker's loop takes a connection through its handshake, the head of each request and the rest of each answer, and
none of these steps waits. What a thread reads of a body waits with `poll`, up to the deadline of the body; what it
writes is collected here and goes out as far as there is room. OpenSSL's errors come out as the ones of `ssl` and
OSError, which is all that gunicorn knows. A connection belongs to one thread at a time.
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

from OpenSSL import SSL, crypto

from app.serving.heads import Head, plain_get

__all__ = ["DEADLINES", "HEAD_LIMIT", "Deadlines", "TLSConnection"]

T = TypeVar("T")

# The most that a TLS record holds: what is read in this size leaves nothing in OpenSSL, where poll cannot see it.
_RECORD = 16384
# The most of a request's head, its line and fields together; a user in 500 groups fits.
HEAD_LIMIT = 1 << 16
# What is collected of an answer before as much as there is room for is written; and what is written in one turn.
_WRITE_FROM = 1 << 18
_BARE_LF = re.compile(rb"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a peer has in all, not between two bytes."""

    handshake: float = 5.0
    head: float = 5.0
    body: float = 10.0
    # From the first byte of an answer to its last.
    answer: float = 12.0


DEADLINES = Deadlines()


class _EndOfStream(Exception):  # noqa: N818 - no error: the peer has said all it had to say
    """The peer closed its side."""


class TLSConnection:
    """The server's side of one connection."""

    def __init__(self, context: SSL.Context, sock: socket.socket, deadlines: Deadlines = DEADLINES) -> None:
        sock.settimeout(0)
        self._socket = sock
        self._tls = SSL.Connection(context, sock)
        self._tls.set_accept_state()
        self.deadlines = deadlines
        self._timeout: float | None = None
        self._handshaken = False
        self._ended = False
        # Decrypted, and not yet asked for.
        self._ahead = bytearray()
        self._searched = 0
        # Answered, and not yet encrypted.
        self._unsent = bytearray()
        self._body_deadline: float | None = None
        # The client's certificate (DER), which nobody has judged.
        self.peer_certificate: bytes | None = None
        # The header fields of the request that is being answered, as they came (see hooks.pre_request).
        self.header_pairs: tuple[tuple[str, str], ...] = ()

    # What the worker's loop asks; each gives the selectors event to wait for, or 0 when it is done.

    def handshake(self) -> int:
        """Go on with the handshake without waiting."""
        return self._without_waiting(self.do_handshake)

    def read_head(self, line_limit: int) -> int:
        """Go on reading a request's head without waiting; 0 when there is something to parse, or the peer has left.

        Also 0 when the head cannot become a good one any more, so that the parser says so: a bare LF, a request line
        over `line_limit`, more than HEAD_LIMIT bytes.
        """
        return self._without_waiting(lambda: self._read_head(line_limit))

    def write(self) -> int:
        """Go on writing the answer without waiting, and without keeping others waiting: a long one takes its turns."""
        return self._without_waiting(self._write_turn)

    def _write_turn(self) -> None:
        self._write(most=_WRITE_FROM)
        if self._unsent:
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "the next part has another turn")

    def _without_waiting(self, step: Callable[[], None]) -> int:
        before, self._timeout = self._timeout, 0.0
        try:
            step()
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        finally:
            self._timeout = before
        return 0

    def _read_head(self, line_limit: int) -> None:
        try:
            while not self._head_is_decided(line_limit):
                self._ahead += self._run(self._receive)
        except _EndOfStream:
            self._ended = True
        self._body_deadline = None
        self._searched = 0

    def _receive(self) -> bytes:
        return self._tls.recv(_RECORD)

    def _head_is_decided(self, line_limit: int) -> bool:
        ahead = self._ahead
        start = max(0, self._searched - 3)
        self._searched = len(ahead)
        if ahead.find(b"\r\n\r\n", start) >= 0 or _BARE_LF.search(ahead, start) or len(ahead) > HEAD_LIMIT:
            return True
        # Two bytes for the line's end, and two for an empty line before it.
        return len(ahead) > line_limit + 4 and ahead.find(b"\r\n", 2, line_limit + 4) < 0

    def _write(self, deadline: float | None = None, *, most: int | None = None) -> None:
        written = 0
        try:
            with memoryview(self._unsent) as whole, whole[:most] as unsent:
                while written < len(unsent):
                    with unsent[written : written + _RECORD] as record:
                        written += self._run(lambda: self._tls.send(record), deadline)
        except _EndOfStream as error:
            raise BrokenPipeError(errno.EPIPE, "the peer closed the connection") from error
        finally:
            del self._unsent[:written]

    def plain_get(self) -> Head | None:
        """Read the head that has arrived, if it is that of a plain GET; it stays where it is."""
        return plain_get(self._ahead)

    def answer(self, head: Head, answer: bytes) -> None:
        """Take a head away, and collect its answer."""
        del self._ahead[: head.length]
        self._unsent += answer

    @property
    def head_too_large(self) -> bool:
        """Whether the head is not over after HEAD_LIMIT bytes."""
        return len(self._ahead) > HEAD_LIMIT and self._ahead.find(b"\r\n\r\n", 0, HEAD_LIMIT) < 0

    @property
    def left(self) -> bool:
        """Whether the peer has left, and said nothing that could be answered."""
        return self._ended and not self._ahead

    @property
    def unsent(self) -> int:
        """How many bytes of the answer wait to be written."""
        return len(self._unsent)

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
                self._run(self._tls.do_handshake, time.monotonic() + self.deadlines.handshake)
            except _EndOfStream as error:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer left during the handshake") from error
            self._handshaken = True
            certificate = self._tls.get_peer_certificate()
            if certificate is not None:
                self.peer_certificate = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Read up to `size` bytes; none at the end of the stream."""
        if self._ahead:
            data = bytes(self._ahead[:size])
            del self._ahead[:size]
            return data
        if self._ended:
            return b""
        if self._body_deadline is None:
            self._body_deadline = time.monotonic() + self.deadlines.body
        try:
            return self._run(lambda: self._tls.recv(min(size, _RECORD)), self._body_deadline)
        except _EndOfStream:
            self._ended = True
            return b""

    def send(self, data: bytes | bytearray | memoryview, _flags: int = 0) -> int:
        """Write all of `data` now, by the deadline of an answer, and give its length; the peer waits for it."""
        self.sendall(data)
        self.write_out()
        return memoryview(data).nbytes

    def sendall(self, data: bytes | bytearray | memoryview, _flags: int = 0) -> None:
        """Collect a part of the answer; what there is room for goes out when there is enough of it."""
        self._refuse_closed()
        self._unsent += data
        if len(self._unsent) > _WRITE_FROM:
            self.write()

    def write_out(self) -> None:
        """Write all that was collected, waiting up to the deadline of an answer."""
        self._timeout = None
        self._write(time.monotonic() + self.deadlines.answer)

    def shutdown(self, how: int) -> None:
        """Say goodbye in TLS and TCP without waiting for an answer; nothing is read afterwards."""
        self._refuse_closed()
        with suppress(OSError):
            self.write()
        self._ended = True
        self._ahead.clear()
        # Before the handshake is over, and after an error, OpenSSL has no goodbye to say.
        with suppress(SSL.Error):
            self._tls.shutdown()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self._ended = True
        self._unsent.clear()
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
                # OpenSSL tells a want from a failure by this thread's queue of errors, in which another library may
                # have left some (SSL_get_error(3)); pyOpenSSL has no public name for it.
                SSL._lib.ERR_clear_error()  # type: ignore[attr-defined]
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
