"""The TLS context for a pair and the clients' authorities, in the shape that gunicorn's `ssl_context` hook returns."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto

from metrics_apiserver.ciphers import cipher_list
from metrics_apiserver.serving.connection import DEADLINES, Deadlines, TLSConnection
from metrics_apiserver.serving.pairs import Pair
from metrics_apiserver.settings import ServingSettings

__all__ = ["TLSContext", "TLSError", "build_context"]

# SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets, and has no name for (openssl/ssl.h).
_PARTIAL_WRITE = 1
# The most of a client's certificate, which OpenSSL keeps in pieces of many times its size.
CERTIFICATE_BYTES = 8192
# Below 0, OpenSSL looks for no issuer, and so at no other certificate of the client's (X509_verify_cert).
_NO_CHAIN = -2
_MIN_VERSIONS = {"VersionTLS12": SSL.TLS1_2_VERSION, "VersionTLS13": SSL.TLS1_3_VERSION}


class TLSError(Exception):
    """There can be no TLS context; the message says why."""


def build_context(pair: Pair, serving: ServingSettings, authorities: Sequence[bytes] | None = None) -> SSL.Context:
    """Build the context that serves a pair. Raises TLSError.

    With `authorities` (CA certificates in DER, or none yet) clients are asked for a certificate. Whatever they show
    passes: who may come in is for auth to say, and a client with a bad certificate may have a good token.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    ciphers = cipher_list(serving.tls_cipher_suites)
    # As in Go: where only suites of TLS 1.3 are named, 1.2 has none.
    min_version = _MIN_VERSIONS[serving.tls_min_version] if ciphers else SSL.TLS1_3_VERSION
    context.set_min_proto_version(min_version)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # OpenSSL writes into memory, which takes all there is to write in one call.
    context.clear_mode(_PARTIAL_WRITE)
    context.set_alpn_select_callback(_select_protocol)
    # Sessions are resumed from tickets, which cost no memory here and end with this context's keys. A ticket holds the
    # client's certificate, so that a resumed connection has it too.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"metrics-apiserver")
    try:
        if ciphers:
            context.set_cipher_list(ciphers)
        pair.put_into(context)
        _ask_for_certificates(context, authorities)
    except (SSL.Error, ValueError) as error:
        raise TLSError(f"OpenSSL takes no such certificate or cipher suites: {error}") from error
    return context


def _ask_for_certificates(context: SSL.Context, authorities: Sequence[bytes] | None) -> None:
    if authorities is None:
        context.set_verify(SSL.VERIFY_NONE)
        return
    context.set_verify(SSL.VERIFY_PEER, _judge_size)
    context.set_verify_depth(_NO_CHAIN)
    # Their names go to the client: one whose certificates are all of other authorities then shows none.
    for authority in authorities:
        context.add_client_ca(x509.load_der_x509_certificate(authority))


def _judge_size(tls: SSL.Connection, certificate: crypto.X509, *_judgement: object) -> bool:
    """Refuse a certificate of a size that no client needs; OpenSSL asks while it looks for an issuer."""
    size = len(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))
    if size > CERTIFICATE_BYTES:
        tls.get_app_data().append(f"the client's certificate has {size} bytes, more than {CERTIFICATE_BYTES}")
        return False
    return True


def _select_protocol(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


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
