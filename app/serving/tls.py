"""The TLS context: built once in each worker, in the shape that gunicorn's `ssl_context` hook gives back."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from app.serving.connection import DEADLINES, Deadlines, TLSConnection

__all__ = ["TLSContext", "TLSError", "build_context"]

_MIN_VERSIONS = {"VersionTLS12": SSL.TLS1_2_VERSION, "VersionTLS13": SSL.TLS1_3_VERSION}
# For TLS 1.2: what Go serves first, that is ephemeral keys and authenticated encryption only. 1.3 has nothing else.
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)


class TLSError(Exception):
    """The certificate and its key cannot be served; the message says why."""


def build_context(cert: Path, key: Path, min_version: str) -> SSL.Context:
    """Build the context for a certificate file (intermediates after the leaf) and its key. Raises TLSError."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_MIN_VERSIONS[min_version])
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_CIPHERS)
    context.set_alpn_select_callback(_select_protocol)
    # Sessions are resumed from tickets, which cost no memory here and end with this context's keys.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"metrics-apiserver")
    # No client certificate is asked for so far: set_verify and set_client_ca_list belong here.
    context.set_verify(SSL.VERIFY_NONE)
    try:
        context.use_certificate_chain_file(str(cert))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except SSL.Error as error:
        raise TLSError(f"{cert} and {key} cannot be served: {_reasons(error)}") from error
    return context


def _select_protocol(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _reasons(error: SSL.Error) -> str:
    """Give OpenSSL's own words, such as "ee key too small"; they hold no key material."""
    queue = error.args[0] if error.args else []
    return ", ".join(reason for _library, _function, reason in queue) or "OpenSSL gives no reason"


class TLSContext:
    """What gunicorn takes for an `ssl.SSLContext`: it wraps accepted sockets."""

    def __init__(self, context: SSL.Context, deadlines: Deadlines = DEADLINES) -> None:
        self._context = context
        self._deadlines = deadlines

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = True,  # noqa: FBT001, FBT002 - the signature is the standard library's
        suppress_ragged_eofs: bool = True,  # noqa: FBT001, FBT002
        do_handshake_on_connect: bool = False,  # noqa: FBT001, FBT002
    ) -> TLSConnection:
        """Wrap an accepted socket; the handshake is still to come, unless asked for."""
        assert server_side, "this server dials nobody"
        connection = TLSConnection(self._context, sock, self._deadlines)
        if do_handshake_on_connect:
            connection.do_handshake()
        return connection
