"""The self-signed certificate."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from metrics_apiserver.serving.certificates import ensure_certificate
from metrics_apiserver.serving.pairs import CertificateError, read_pair
from metrics_apiserver.settings import ServingSettings

NOW = datetime.now(UTC)


def _serving(folder: Path, **changes: str) -> ServingSettings:
    return ServingSettings(cert_dir=str(folder / "made" / "certificates"), **changes)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_given_pair_is_used_as_it_is(tmp_path: Path) -> None:
    serving = _serving(tmp_path, tls_cert_file="/a/tls.crt", tls_private_key_file="/a/tls.key")
    assert ensure_certificate(serving) == (Path("/a/tls.crt"), Path("/a/tls.key"))
    assert list(tmp_path.iterdir()) == []


def test_a_pair_is_made_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cert, key = ensure_certificate(_serving(tmp_path))
    finally:
        os.umask(before)
    assert (cert.name, key.name) == ("apiserver.crt", "apiserver.key")
    assert (_mode(cert.parent), _mode(cert), _mode(key)) == (0o700, 0o600, 0o600)
    assert sorted(path.name for path in cert.parent.iterdir()) == ["apiserver.crt", "apiserver.key"]


def test_the_leaf_is_for_the_service_and_this_machine_for_a_year(tmp_path: Path) -> None:
    cert, _ = ensure_certificate(_serving(tmp_path, service_name="adapter", service_namespace="monitoring"), now=NOW)
    leaf, authority = x509.load_pem_x509_certificates(cert.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "localhost",
        "adapter.monitoring.svc",
        "adapter.monitoring",
        "adapter",
    ]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    for certificate in (leaf, authority):
        assert abs(certificate.not_valid_before_utc - (NOW - timedelta(hours=1))) < timedelta(seconds=2)
        assert abs(certificate.not_valid_after_utc - (NOW + timedelta(days=365))) < timedelta(seconds=2)
    assert leaf.issuer == authority.subject
    leaf.verify_directly_issued_by(authority)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "adapter.monitoring.svc", "adapter"])
def test_a_strict_client_accepts_it_with_the_file_as_its_only_authority(tmp_path: Path, host: str) -> None:
    cert, key = ensure_certificate(_serving(tmp_path, service_name="adapter", service_namespace="monitoring"))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    client_side = ssl.create_default_context(cafile=str(cert))
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    near.settimeout(10)
    far.settimeout(10)

    def serve() -> None:
        with server_side.wrap_socket(far, server_side=True) as served:
            served.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client_side.wrap_socket(near, server_hostname=host) as client:
        client.sendall(b"x")
    thread.join(10)


def test_a_good_pair_is_used_again(tmp_path: Path) -> None:
    cert, key = ensure_certificate(_serving(tmp_path), now=NOW)
    before = cert.read_bytes(), key.read_bytes()
    ensure_certificate(_serving(tmp_path), now=NOW + timedelta(days=363))
    assert (cert.read_bytes(), key.read_bytes()) == before


def _nothing(cert: Path, key: Path) -> None:
    """The time or the settings have changed."""


def _other_key(cert: Path, key: Path) -> None:
    key.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("spoil", "changes", "later"),
    [
        pytest.param(_nothing, {}, timedelta(days=364, hours=1), id="it has less than a day left"),
        pytest.param(_nothing, {}, timedelta(days=800), id="it has expired"),
        pytest.param(_nothing, {}, timedelta(hours=-3), id="it begins in the future"),
        pytest.param(_nothing, {"service_name": "other"}, timedelta(0), id="the service has another name"),
        pytest.param(_other_key, {}, timedelta(0), id="the key is another one"),
        pytest.param(lambda _, key: key.unlink(), {}, timedelta(0), id="the key is gone"),
        pytest.param(lambda cert, _: cert.unlink(), {}, timedelta(0), id="the certificate is gone"),
        pytest.param(lambda cert, _: cert.write_text("x"), {}, timedelta(0), id="the certificate is no PEM"),
        pytest.param(lambda _, key: key.write_text("x"), {}, timedelta(0), id="the key is no PEM"),
    ],
)
def test_a_pair_is_made_anew_when(tmp_path: Path, spoil, changes: dict[str, str], later: timedelta) -> None:
    cert, key = ensure_certificate(_serving(tmp_path), now=NOW)
    before = cert.read_bytes()
    spoil(cert, key)
    ensure_certificate(_serving(tmp_path, **changes), now=NOW + later)
    assert cert.read_bytes() != before
    assert read_pair(cert, key, now=NOW + later).leaf.public_bytes(serialization.Encoding.PEM) in cert.read_bytes()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CertificateError, match=r"^--cert-dir=.*/file/x: cannot keep .* there: Not a directory$"):
        ensure_certificate(ServingSettings(cert_dir=str(tmp_path / "file" / "x")))
