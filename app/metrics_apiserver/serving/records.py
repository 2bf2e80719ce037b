"""The TLS records of one connection, handed to OpenSSL one at a time, so that no call into it goes on for ever.

OpenSSL with a socket reads on inside one call until it has data: a peer that sends records without any (TLS 1.3's key
updates, empty records, warnings, 1.2's requests to renegotiate) holds the caller for as long as it likes. Here OpenSSL
has no socket but memory, and gets what has arrived record by record:

    socket → arrived → [one record] → OpenSSL → data, or nothing of use
    socket ← waiting ←                OpenSSL ← data

Nothing here waits: what cannot go on raises `ssl.SSLWantReadError` or `ssl.SSLWantWriteError`.
"""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress

from OpenSSL import SSL, crypto

__all__ = [
    "RECORD_BYTES",
    "SMALL_RECORDS",
    "USELESS_RECORDS",
    "WRITE_BYTES",
    "EndOfStreamError",
    "PlainHTTPError",
    "Records",
]

# The most data that a TLS record holds.
RECORD_BYTES = 16384
# So many records without data, more than there were with some, and the peer is sent away. Go ends a connection after 16
# in a row (`maxUselessRecords`).
USELESS_RECORDS = 16
# A record's type, version and length.
_HEADER_BYTES = 5
# What a handshake may take, where OpenSSL takes greetings of 128 KiB, and certificates of 100 KiB, in any number of
# records: a greeting with keys for quantum computers has 2 KiB, and a certificate with three CAs above it 8 KiB.
_HANDSHAKE_BYTES = 1 << 15
_HANDSHAKE_RECORDS = 512
# A record costs as much as so many bytes of data do; so many that hold nearly none are free in a head, and in a body.
_FAIR_RECORD_BYTES = 128
SMALL_RECORDS = 256
# After so many records others have their turn. Records are read from the socket in pieces of this size at least: what
# came along is handed over in the same turn, so that poll sees all that is left. Most heads are one piece.
_TURN_RECORDS = 8
_READ_BYTES = 512
# What is encrypted at once: a connection that had a long answer keeps so much memory, and a third more.
WRITE_BYTES = 2 * RECORD_BYTES
# What OpenSSL adds to that, and says on its own (tickets, a farewell, a key update, its part of a handshake).
_OWN_BYTES = 4096


# Empties this thread's queue of OpenSSL's errors: OpenSSL tells a want from a failure by it (SSL_get_error(3)), and
# another library may have left some. pyOpenSSL has no public name for it.
_clear_errors = SSL._lib.ERR_clear_error  # type: ignore[attr-defined]


# The first bytes of who takes this port for one of plain HTTP (Go's `tlsRecordHeaderLooksLikeHTTP`).
_PLAIN_HTTP = (b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO")


class PlainHTTPError(ConnectionError):
    """The peer speaks plain HTTP."""


class EndOfStreamError(Exception):
    """The peer closed its side: it has said all it had to say."""


class Records:
    """The server's side of a TLS connection, over a socket that does not wait."""

    def __init__(self, context: SSL.Context, sock: socket.socket) -> None:
        self._socket = sock
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()
        self._handshaken = False
        # Came from the socket, and OpenSSL has not seen it; and how much is missing of the record that it has begun.
        self._arrived = bytearray()
        self._missing = 0
        # Whether OpenSSL has data that it was not asked for yet.
        self._decrypted = False
        # Encrypted, and not yet in the socket.
        self._waiting = b""
        # Whether OpenSSL has encrypted more than that.
        self._more_waits = False
        self._records = 0
        self._turn_end = _TURN_RECORDS
        self._bytes = 0
        self._useless = 0
        # By how many bytes the records of a head or a body were too small so far.
        self._small = 0
        # Why the client's certificate was refused.
        self._refusals: list[str] = []
        self._tls.set_app_data(self._refusals)

    @property
    def arrived(self) -> bool:
        """Whether bytes are here already, where poll cannot see them."""
        return bool(self._arrived) or self._decrypted

    @property
    def waiting(self) -> int:
        """How many encrypted bytes wait for room in the socket."""
        return len(self._waiting)

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN agreed on."""
        return self._tls.get_alpn_proto_negotiated().decode("ascii") or None

    @property
    def version(self) -> str:
        """The version of TLS: TLSv1.2 or TLSv1.3."""
        return self._tls.get_protocol_version_name()

    def certificate(self) -> bytes | None:
        """Return the certificate (DER) that the client showed in the handshake, which nobody has judged."""
        certificate = self._tls.get_peer_certificate()
        return None if certificate is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)

    def certificate_bytes(self) -> int:
        """Return the size of all certificates that the client showed, which OpenSSL keeps as long as the connection."""
        shown = [self._tls.get_peer_certificate(), *(self._tls.get_peer_cert_chain() or ())]
        return sum(len(crypto.dump_certificate(crypto.FILETYPE_ASN1, each)) for each in shown if each is not None)

    def begin_turn(self) -> None:
        """Allow another number of records."""
        self._turn_end = self._records + _TURN_RECORDS

    def begin_part(self) -> None:
        """Allow small records again: a head, or a body, begins."""
        self._small = 0

    def handshake(self) -> None:
        """Go on with the handshake; come back when it is over. Raises EndOfStreamError and OSError."""
        self.flush()
        while True:
            self._hand_over()
            _clear_errors()
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                self._answer()
            except SSL.Error as error:
                raise self._failed(error) from error
            else:
                break
        self._handshaken = True
        # The tickets; who has no room for them is waited for before it is read from.
        with suppress(ssl.SSLWantWriteError):
            self._answer()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of data. Raises EndOfStreamError and OSError."""
        if self._waiting:
            # Who takes nothing of what was said to its records is not read from.
            self.flush()
        whole = False
        while True:
            if not self._decrypted:
                whole = self._hand_over()
            self._decrypted = False
            _clear_errors()
            try:
                data = self._tls.recv(size)
            except SSL.WantReadError:
                if whole:
                    self._count_useless()
                self._answer()
            except SSL.Error as error:
                raise self._failed(error) from error
            else:
                break
        # What fills the room may have more behind it.
        self._decrypted = len(data) == size
        if self._small or len(data) < _FAIR_RECORD_BYTES:
            self._count_small(whole=whole, size=len(data))
        if self._useless and whole:
            self._useless -= 1
        return data

    def write(self, data: memoryview) -> int:
        """Encrypt data of WRITE_BYTES at most for `flush` to send, and return how much was taken. Raises OSError.

        None of it is taken before what was taken last is in the socket.
        """
        if self._waiting:
            self.flush()
        _clear_errors()
        try:
            taken = self._tls.send(data)
        except SSL.Error as error:
            raise self._failed(error) from error
        self._encrypt(len(data) + _OWN_BYTES)
        return taken

    def flush(self) -> None:
        """Hand the socket what waits for it. Raises OSError; SSLWantWriteError where there is no room."""
        while self._waiting:
            try:
                sent = self._socket.send(self._waiting)
            except BlockingIOError:
                raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "no room to write yet") from None
            except OSError as error:
                raise _gone(error) from error
            if sent < len(self._waiting):
                self._waiting = self._waiting[sent:]
            else:
                self._waiting = b""
                if self._more_waits:
                    self._encrypt()

    def say_goodbye(self) -> None:
        """Tell the peer that nothing follows, if there is room for it."""
        # Before the handshake is over, and after an error, OpenSSL has no goodbye to say.
        with suppress(SSL.Error):
            self._tls.shutdown()
        with suppress(OSError):
            self._answer()

    def close(self) -> None:
        """Let go of OpenSSL's memory now, not when Python finds that nobody holds it; nothing follows."""
        del self._tls

    def discard(self) -> int:
        """Drop what has arrived, still encrypted, and return how much; 0 at the end of the stream. Raises OSError."""
        self._arrived.clear()
        return len(self._socket.recv(1 << 16))

    def _hand_over(self) -> bool:
        """Hand OpenSSL what has arrived of one record, and return whether that was all of it."""
        arrived = self._arrived
        if self._missing == 0:
            while len(arrived) < _HEADER_BYTES:
                self._receive()
            if self._records == 0 and bytes(arrived[:_HEADER_BYTES]) in _PLAIN_HTTP:
                raise PlainHTTPError("the peer speaks plain HTTP")
            self._missing = _HEADER_BYTES + int.from_bytes(arrived[3:5], "big")
            self._records += 1
            if not self._handshaken:
                self._count_handshake()
        elif not arrived:
            self._receive()
        if len(arrived) <= self._missing:
            piece, self._arrived = arrived, bytearray()
        else:
            piece = arrived[: self._missing]
            del arrived[: self._missing]
        self._tls.bio_write(piece)
        self._missing -= len(piece)
        return self._missing == 0

    def _receive(self) -> None:
        if self._records >= self._turn_end:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the next record has another turn")
        try:
            data = self._socket.recv(max(self._missing, _READ_BYTES))
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "nothing to read yet") from None
        except OSError as error:
            raise _gone(error) from error
        if not data:
            raise EndOfStreamError
        self._arrived += data

    def _count_handshake(self) -> None:
        self._bytes += self._missing
        if self._bytes > _HANDSHAKE_BYTES or self._records > _HANDSHAKE_RECORDS:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the handshake is too long")

    def _count_useless(self) -> None:
        self._useless += 1
        if self._useless > USELESS_RECORDS:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"more than {USELESS_RECORDS} records without data")

    def _count_small(self, *, whole: bool, size: int) -> None:
        self._small = max(0, self._small + whole * _FAIR_RECORD_BYTES - size)
        if self._small > SMALL_RECORDS * _FAIR_RECORD_BYTES:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"more than {SMALL_RECORDS} records with hardly any data")

    def _answer(self) -> None:
        """Send what OpenSSL has to say: data, an alert, a key update, its part of the handshake. Raises OSError."""
        self._encrypt()
        self.flush()

    def _encrypt(self, size: int = _OWN_BYTES) -> None:
        """Take what OpenSSL has encrypted, `size` bytes at most, as soon as nothing waits before it."""
        self._more_waits = bool(self._waiting)
        if self._waiting:
            return
        try:
            self._waiting = self._tls.bio_read(size)
        except SSL.WantReadError:
            return
        self._more_waits = len(self._waiting) == size

    def _failed(self, error: SSL.Error) -> Exception:
        """Name a failure of OpenSSL in the words of `ssl`; the peer gets the alert, if there is one."""
        if isinstance(error, SSL.ZeroReturnError):
            return EndOfStreamError()
        with suppress(OSError):
            self._answer()
        reason = self._refusals[0] if self._refusals else f"TLS failed: {error.args}"
        return ssl.SSLError(ssl.SSL_ERROR_SSL, reason)


def _gone(error: OSError) -> ConnectionResetError:
    """Whatever the network's reason: gunicorn takes other numbers than this one for mistakes of ours."""
    return ConnectionResetError(errno.ECONNRESET, f"the connection is gone: {error}")
