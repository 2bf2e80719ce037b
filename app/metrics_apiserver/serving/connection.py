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

from OpenSSL import SSL

from metrics_apiserver.serving.heads import Head, plain_get
from metrics_apiserver.serving.patience import Patience
from metrics_apiserver.serving.records import RECORD_BYTES, WRITE_BYTES, EndOfStreamError, Records
from metrics_apiserver.serving.waits import CrowdedError, PeerTooSlowError, Waits

__all__ = ["DEADLINES", "HEAD_LIMIT", "Deadlines", "TLSConnection"]

T = TypeVar("T")

# The most of a request's head, its line and fields together; a user in 500 groups fits.
HEAD_LIMIT = 1 << 16
# What is collected of an answer before as much as there is room for is written; and what is written in one turn.
_WRITE_FROM = 1 << 18
# What is dropped of a peer that still sends after its answer; then the connection is cut.
_DISCARDED = 1 << 24
# How often a thread that waits looks whether others want its place.
_SLICE_SECONDS = 0.25
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


class TLSConnection:
    """The server's side of one connection."""

    def __init__(self, context: SSL.Context, sock: socket.socket, deadlines: Deadlines = DEADLINES) -> None:
        sock.settimeout(0)
        self._socket = sock
        self._records = Records(context, sock)
        self.deadlines = deadlines
        # The places of all threads that wait; the worker has its own.
        self.waits = Waits()
        self._timeout: float | None = None
        self._handshaken = False
        self._ended = False
        # Decrypted, and not yet asked for.
        self._ahead = bytearray()
        self._searched = 0
        # Answered, and not yet encrypted.
        self._unsent = bytearray()
        self._discarded = 0
        # Of the body that is read.
        self._patience = Patience()
        # The client's certificate (DER), which nobody has judged.
        self.peer_certificate: bytes | None = None
        # The size of that one and all that came with it.
        self.certificate_bytes = 0

    # What the worker's loop asks; each gives the selectors event to wait for, or 0 when it is done.

    def handshake(self) -> int:
        """Go on with the handshake without waiting."""
        self._records.begin_turn()
        return _event_of(self._shake_hands)

    def read_head(self, line_limit: int) -> int:
        """Go on reading a request's head without waiting; 0 when there is something to parse, or the peer has left.

        Also 0 when the head cannot become a good one any more, so that the parser says so: a bare LF, a request line
        over `line_limit`, more than HEAD_LIMIT bytes.
        """
        self._refuse_closed()
        self._records.begin_turn()
        return _event_of(lambda: self._read_head(line_limit))

    def write(self) -> int:
        """Go on writing the answer without waiting, and without keeping others waiting: a long one takes its turns."""
        self._refuse_closed()
        return _event_of(self._write_turn)

    def _read_head(self, line_limit: int) -> None:
        if not self._ahead:
            self._records.begin_part()
        try:
            while not self._head_is_decided(line_limit):
                self._ahead += self._records.read(RECORD_BYTES)
        except EndOfStreamError:
            self._ended = True
        # Of the body that may follow.
        self._records.begin_part()
        self._patience = Patience()
        self._searched = 0

    def _head_is_decided(self, line_limit: int) -> bool:
        ahead = self._ahead
        start = max(0, self._searched - 3)
        self._searched = len(ahead)
        if ahead.find(b"\r\n\r\n", start) >= 0 or _BARE_LF.search(ahead, start) or len(ahead) > HEAD_LIMIT:
            return True
        # Two bytes for the line's end, and two for an empty line before it.
        return len(ahead) > line_limit + 4 and ahead.find(b"\r\n", 2, line_limit + 4) < 0

    def _write_turn(self) -> None:
        written = 0
        try:
            with memoryview(self._unsent) as whole, whole[:_WRITE_FROM] as unsent:
                while written < len(unsent):
                    with unsent[written : written + WRITE_BYTES] as part:
                        written += self._records.write(part)
                self._records.flush()
        except EndOfStreamError as error:
            raise BrokenPipeError(errno.EPIPE, "the peer closed the connection") from error
        finally:
            del self._unsent[:written]
        if self._unsent:
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "the next part has another turn")

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
        return len(self._unsent) + self._records.waiting

    def unread(self, data: bytes) -> None:
        """Take back what was read and belongs to the next request."""
        self._ahead[:0] = data

    @property
    def readable(self) -> bool:
        """Whether bytes are here already, where poll cannot see them."""
        return bool(self._ahead) or self._records.arrived

    def discard(self) -> bool:
        """Drop what a peer still sends after the answer, still encrypted; return whether it may send more."""
        try:
            dropped = self._records.discard()
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._discarded += dropped
        return bool(dropped) and self._discarded < _DISCARDED

    # What gunicorn asks of a socket.

    def do_handshake(self) -> None:
        """Complete the handshake, by its deadline."""
        self._run(self._shake_hands, time.monotonic() + self.deadlines.handshake)

    def _shake_hands(self) -> None:
        if not self._handshaken:
            try:
                self._records.handshake()
            except EndOfStreamError as error:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer left during the handshake") from error
            self._handshaken = True
            self.peer_certificate = self._records.certificate()
            self.certificate_bytes = self._records.certificate_bytes()

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Read up to `size` bytes; none at the end of the stream. Raises PeerTooSlowError and CrowdedError."""
        if self._ahead:
            data = bytes(self._ahead[:size])
            del self._ahead[:size]
            return data
        if self._ended:
            return b""
        deadline = self._patience.begin(self.deadlines.body)
        try:
            return self._run(lambda: self._records.read(min(size, RECORD_BYTES)), deadline)
        except EndOfStreamError:
            self._ended = True
            return b""

    def hurry(self, seconds: float) -> None:
        """Wait for no more of the body, and read what is here for so long and not a moment more."""
        self._patience.hurry(seconds)

    def send(self, data: bytes | bytearray | memoryview, _flags: int = 0) -> int:
        """Write `data` now, as far as there is room, and return its length; the rest goes out with what follows."""
        self.sendall(data)
        self.write()
        return memoryview(data).nbytes

    def sendall(self, data: bytes | bytearray | memoryview, _flags: int = 0) -> None:
        """Collect a part of the answer; what there is room for goes out when there is enough of it."""
        self._refuse_closed()
        self._unsent += data
        if len(self._unsent) > _WRITE_FROM:
            self.write()

    def shutdown(self, how: int) -> None:
        """Say goodbye in TLS and TCP without waiting for an answer; nothing is read afterwards."""
        self._refuse_closed()
        with suppress(OSError):
            self.write()
        self._ended = True
        self._ahead.clear()
        self._records.say_goodbye()
        self._socket.shutdown(how)

    def refuse_plain(self, answer: bytes) -> None:
        """Answer a peer that speaks plain HTTP, as far as there is room; nothing is read afterwards. Raises OSError."""
        self._ended = True
        self._socket.send(answer)
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        self._ended = True
        self._unsent.clear()
        if self.fileno() >= 0:
            self._records.close()
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
        return self._records.alpn

    def version(self) -> str:
        """The version of TLS: TLSv1.2 or TLSv1.3."""
        return self._records.version

    def _run(self, operation: Callable[[], T], deadline: float) -> T:
        """Do what a thread may wait for: until it is through, or its time is over. Raises OSError."""
        self._refuse_closed()
        while True:
            self._patience.judge(deadline)
            self._records.begin_turn()
            try:
                return operation()
            except ssl.SSLWantReadError:
                event = select.POLLIN
                if self._timeout == 0.0:
                    raise
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
                if self._timeout == 0.0:
                    raise
            self._wait(event, deadline)

    def _wait(self, event: int, deadline: float) -> None:
        began = time.monotonic()
        end = deadline if self._timeout is None else min(deadline, began + self._timeout)
        poll = select.poll()
        # What was told to the peer, such as to go on, may have had no room.
        poll.register(self._socket, event | (select.POLLOUT if self.unsent else 0))
        if not poll.poll(0):
            with self.waits.place(self._patience.waits(began)) as gives_way:
                while not poll.poll(1000 * max(0.0, min(end - time.monotonic(), _SLICE_SECONDS))):
                    if time.monotonic() >= end:
                        raise PeerTooSlowError if end == deadline else TimeoutError("timed out")
                    if gives_way():
                        raise CrowdedError
        if self.unsent:
            self.write()

    def _refuse_closed(self) -> None:
        """The descriptor's number may be another connection's by now."""
        if self._socket.fileno() < 0:
            raise OSError(errno.ENOTCONN, "the connection is closed")


def _event_of(step: Callable[[], None]) -> int:
    """Take a step that does not wait, and return the selectors event that it needs to go on; 0 when it is through."""
    try:
        step()
    except ssl.SSLWantReadError:
        return selectors.EVENT_READ
    except ssl.SSLWantWriteError:
        return selectors.EVENT_WRITE
    return 0
