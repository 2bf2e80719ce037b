"""What clients show of certificates, to a server that asks for them: nobody pays for more than a small one."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from metrics_apiserver.serving.tls import CERTIFICATE_BYTES
from tests.auth.conftest import Reviewing, write_kubeconfig
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer
from tests.serving.attacks import Target

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SMALL = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.now(UTC)
# What somebody gets whose certificate nobody knows: it was read, and the connection stays.
SERVED = b"HTTP/1.1 401 "


def certificate(key: Key, number: int, *, names: int = 0, excluded: int = 0) -> x509.Certificate:
    """Make the certificate of one number, which the next one has issued, with names and name constraints."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(number))]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(number + 1))]))
        .public_key(key.public_key())
        .serial_number(number + 1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    if number:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("a")] * names), critical=False)
    if excluded:
        builder = builder.add_extension(x509.NameConstraints(None, [x509.DNSName("z")] * excluded), critical=True)
    return builder.sign(key, hashes.SHA256())


def write(path: Path, key: Key, *chain: x509.Certificate) -> Path:
    """Write a chain and the key of its first certificate."""
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
    path.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def names_for(size: int) -> int:
    """Say how many names a certificate of about this size has: an entry has three bytes, and a signature may vary."""
    return (size - len(certificate(SMALL, 0, names=200).public_bytes(Encoding.DER))) // 3 + 200


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder, cluster = tmp_path_factory.mktemp("asking"), Reviewing()
    flags = (f"--kubeconfig={write_kubeconfig(cluster, folder)}", "--provider=writable", "-v=9")
    try:
        with LiveServer(folder, *flags) as server:
            server.wait_until_ready()
            yield server
    finally:
        cluster.close()


@pytest.fixture(name="show")
def _show(server: LiveServer) -> Iterator[Callable[[Path], ssl.SSLSocket]]:
    """Give a client that shows a certificate and asks one thing; it stays connected."""
    target = Target(server.port, str(server.ca_file), "/livez")
    with ExitStack() as opened:
        contexts: dict[Path, ssl.SSLContext] = {}

        def show(path: Path) -> ssl.SSLSocket:
            if path not in contexts:
                contexts[path] = ssl.create_default_context(cafile=target.ca_file)
                contexts[path].load_cert_chain(path)
            context = contexts[path]
            plain = target.plain()
            # A long certificate and a short request after it would wait for each other.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = opened.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            client.sendall(target.request())
            return client

        yield show


def answer(client: ssl.SSLSocket) -> bytes:
    """Give the first bytes of an answer, none where the server refused."""
    try:
        return client.recv(1 << 16)
    except (ssl.SSLError, ConnectionError):
        return b""


def resident(server: LiveServer) -> int:
    """Give the memory of the worker in MiB."""
    pid = server.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = Path(f"/proc/{workers[0]}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def test_chain_with_three_large_authorities_is_taken(tmp_path: Path, show: Callable[[Path], ssl.SSLSocket]) -> None:
    key = rsa.generate_private_key(65537, 4096)
    chain = [certificate(key, number, names=20 if number == 0 else 0) for number in range(4)]
    assert answer(show(write(tmp_path / "chain.pem", key, *chain))).startswith(SERVED)


@pytest.mark.parametrize(
    ("more", "taken"), [pytest.param(-12, True, id="just below it"), pytest.param(12, False, id="just above it")]
)
def test_certificate_is_taken_up_to_its_size(
    server: LiveServer, tmp_path: Path, show: Callable[[Path], ssl.SSLSocket], more: int, taken: bool
) -> None:
    leaf = certificate(SMALL, 0, names=names_for(CERTIFICATE_BYTES + more))
    assert (len(leaf.public_bytes(Encoding.DER)) <= CERTIFICATE_BYTES) == taken
    received = answer(show(write(tmp_path / "leaf.pem", SMALL, leaf)))
    assert received.startswith(SERVED) if taken else not received
    if not taken:
        wait_until(lambda: f"bytes, more than {CERTIFICATE_BYTES}" in server.log(), 10, server.log)


def test_chain_larger_than_any_is_refused(tmp_path: Path, show: Callable[[Path], ssl.SSLSocket]) -> None:
    chain = [certificate(SMALL, number, excluded=700 if number else 0) for number in range(12)]
    assert sum(len(each.public_bytes(Encoding.DER)) for each in chain) > 1 << 15
    path = write(tmp_path / "chain.pem", SMALL, *chain)
    try:
        received = answer(show(path))
    except (ssl.SSLError, ConnectionError):
        # It was thrown out before it had said all of it.
        received = b""
    assert not received


def test_certificates_fill_no_memory_and_small_ones_are_kept(
    server: LiveServer, tmp_path: Path, show: Callable[[Path], ssl.SSLSocket]
) -> None:
    """Seven hundred of the largest that are taken: 240 MiB, if each were held."""
    before = resident(server)
    usual = show(write(tmp_path / "usual.pem", SMALL, certificate(SMALL, 0, names=1)))
    assert answer(usual).startswith(SERVED)
    large = write(tmp_path / "large.pem", SMALL, certificate(SMALL, 0, names=names_for(CERTIFICATE_BYTES - 3)))
    slowest = 0.0
    for number in range(700):
        began = time.monotonic()
        assert answer(show(large)).startswith(SERVED)
        slowest = max(slowest, time.monotonic() - began)
        if number % 350 == 349:
            usual.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(usual).startswith(SERVED)
    print(f"from {before} to {resident(server)} MiB, slowest {slowest * 1000:.0f} ms")
    assert resident(server) - before < 160
    assert "showed too much of certificates" in server.log()
