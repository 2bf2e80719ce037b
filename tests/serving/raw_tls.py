"""A TLS 1.3 client that can send any record: what OpenSSL would never send is encrypted here, by RFC 8446.

OpenSSL makes the handshake and tells its secret; from then on this client's records are made by hand, and OpenSSL only
reads. Loopback only.
"""

from __future__ import annotations

import hashlib
import hmac
import socket

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from OpenSSL import SSL

__all__ = ["RecordClient"]

_ALERT, _HANDSHAKE, _DATA = 21, 22, 23
_SECRET = b"CLIENT_TRAFFIC_SECRET_0 "
# Its keys are as long as nothing else here is: RFC 8446 7.3.
_SUITE = b"TLS_AES_128_GCM_SHA256"
_KEY_BYTES, _IV_BYTES, _HASH_BYTES = 16, 12, 32


class RecordClient:
    """The client's side of one connection, after its handshake; `sendall`, `recv` and `close` are a socket's."""

    def __init__(self, sock: socket.socket, ca_file: str) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(_SUITE)
        context.load_verify_locations(ca_file)
        context.set_verify(SSL.VERIFY_PEER)
        told: list[bytes] = []
        context.set_keylog_callback(lambda _connection, line: told.append(line))
        self._socket = sock
        # OpenSSL in the way of pyOpenSSL knows sockets that wait, and no timeouts.
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        self._shake_hands()
        (line,) = (line for line in told if line.startswith(_SECRET))
        self._secret = bytes.fromhex(line.split()[-1].decode())
        self._use_secret()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                self._send_of_openssl()
                self._tls.bio_write(self._received())
            except SSL.Error as error:
                raise ConnectionResetError(f"the handshake failed: {error}") from error
            else:
                return self._send_of_openssl()

    def _send_of_openssl(self) -> None:
        self._socket.sendall(self._tls.bio_read(1 << 16))

    def _received(self) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        return data

    def _use_secret(self) -> None:
        self._cipher = AESGCM(_expand(self._secret, b"key", _KEY_BYTES))
        self._iv = int.from_bytes(_expand(self._secret, b"iv", _IV_BYTES), "big")
        self._sequence = 0

    def record(self, content: bytes, kind: int = _DATA) -> bytes:
        """Return the next record, of any content and kind; whoever makes it has to send it, in this order."""
        inner = content + bytes([kind])
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = (self._iv ^ self._sequence).to_bytes(_IV_BYTES, "big")
        self._sequence += 1
        return head + self._cipher.encrypt(nonce, inner, head)

    def key_update(self, *, ask: bool = False) -> bytes:
        """Return a KeyUpdate, which may ask the server for one of its own; what follows has the next keys."""
        made = self.handshake(24, bytes([ask]))
        self._secret = _expand(self._secret, b"traffic upd", _HASH_BYTES)
        self._use_secret()
        return made

    def handshake(self, kind: int, content: bytes) -> bytes:
        """Return a handshake message in a record of its own."""
        return self.record(bytes([kind]) + len(content).to_bytes(3, "big") + content, _HANDSHAKE)

    def warning(self, description: int = 90) -> bytes:
        """Return a warning; by default "user canceled", the one that TLS 1.3 has left."""
        return self.record(bytes([1, description]), _ALERT)

    def send_records(self, *records: bytes) -> None:
        """Send records as they are."""
        self._socket.sendall(b"".join(records))

    def sendall(self, data: bytes) -> None:
        """Send data, in records of the usual size."""
        for start in range(0, len(data), 16384):
            self._socket.sendall(self.record(data[start : start + 16384]))

    def recv(self, size: int) -> bytes:
        """Receive data; none at the end of the stream."""
        while True:
            try:
                return self._tls.recv(size)
            except SSL.ZeroReturnError:
                return b""
            except SSL.WantReadError:
                data = self._socket.recv(1 << 16)
                if not data:
                    return b""
                self._tls.bio_write(data)

    def settimeout(self, seconds: float | None) -> None:
        """Wait so long in each call."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 7.1), for what one hash is long enough for."""
    name = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00"
    return hmac.digest(secret, info + b"\x01", hashlib.sha256)[:size]
