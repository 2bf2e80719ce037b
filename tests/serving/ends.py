"""Both ends of one TLS connection, without a network, and the pairs of files that a server serves."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from metrics_apiserver.serving.connection import TLSConnection
from metrics_apiserver.serving.tls import TLSContext
from tests.controlplane.certificates import Authority, Certificate, Usage

Ends = tuple[TLSConnection, ssl.SSLSocket]


@contextmanager
def handshaken(context: TLSContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Iterator[Ends]:
    """Give both ends after the handshake, the server's first."""
    near, far = socket.socketpair()
    near.settimeout(10)
    served = context.wrap_socket(far)
    try:
        with ThreadPoolExecutor(1) as pool:
            handshake = pool.submit(served.do_handshake)
            with client.wrap_socket(near, server_hostname="localhost", session=session) as wrapped:
                handshake.result()
                yield served, wrapped
    finally:
        near.close()
        served.close()


def issue(authority: Authority, name: str, *, not_after: datetime | None = None) -> Certificate:
    """Issue a certificate for a server of this machine."""
    addresses = {"dns_names": ["localhost"], "ip_addresses": ["127.0.0.1"]}
    return authority.issue(name, **addresses, usage=Usage.SERVER, not_after=not_after)


def trust(authority: Authority) -> ssl.SSLContext:
    """Give a client that trusts one authority."""
    return ssl.create_default_context(cadata=authority.certificate_pem.decode())


def common_name(client: ssl.SSLSocket) -> str:
    """Give the name of the server's certificate."""
    return dict(part[0] for part in client.getpeercert()["subject"])["commonName"]


def distrustful() -> ssl.SSLContext:
    """Give a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def write_rsa_pair(cert: Path, key: Path, *, bits: int) -> None:
    """Write an RSA pair; with 1024 bits it is too small for OpenSSL."""
    private = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rsa")])
    now = datetime.now(UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    cert.write_bytes(leaf.public_bytes(pem))
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
