"""Where the serving certificate is: the given files, or a self-signed pair that is kept in a folder.

The self-signed one is a leaf and the CA that signed it, as client-go's `GenerateSelfSignedCertKey` makes them: the CA's
key is thrown away, and the file serves as curl's `--cacert` and as an APIService's `caBundle` alike.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from metrics_apiserver.configuration import located
from metrics_apiserver.serving.pairs import CertificateError, Pair, read_pair
from metrics_apiserver.settings import Problem, ServingSettings, Settings, setting

__all__ = ["ensure_certificate", "load_certificate"]

_LIFETIME = timedelta(days=365)
# Clocks differ a little: a certificate of this second would be refused by a client that is a second behind.
_BACKDATED = timedelta(hours=1)
# What ends sooner than this is made anew at the start.
_LEAST_LEFT = timedelta(days=1)


def load_certificate(settings: Settings, *, make: bool) -> tuple[Pair | None, list[Problem]]:
    """Read the serving certificate, and say what is wrong with it; where none is given, it may be made."""
    serving = settings.serving
    given = serving.tls_cert_file, serving.tls_private_key_file
    if any(given) and not all(path and os.access(path, os.R_OK) for path in given):
        # The settings say so already.
        return None, []
    if not any(given) and not make:
        return None, []
    try:
        return read_pair(*ensure_certificate(serving)), []
    except CertificateError as error:
        return None, located(settings, error.problems)


def ensure_certificate(serving: ServingSettings, *, now: datetime | None = None) -> tuple[Path, Path]:
    """Return the files of the serving certificate and its key, making a self-signed pair where none is given."""
    if serving.tls_cert_file and serving.tls_private_key_file:
        return Path(serving.tls_cert_file), Path(serving.tls_private_key_file)
    folder = Path(serving.cert_dir)
    cert, key = folder / "apiserver.crt", folder / "apiserver.key"
    names = _alternative_names(serving)
    now = now or datetime.now(UTC)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder):
            if not _reusable(cert, key, names, now):
                _write_pair(cert, key, names, now)
    except OSError as error:
        text = f"cannot keep the self-signed certificate there: {error.strerror or error}"
        raise CertificateError(setting("cert_dir").problem(text, folder)) from error
    return cert, key


def _alternative_names(serving: ServingSettings) -> list[x509.GeneralName]:
    name, namespace = serving.service_name, serving.service_namespace
    hosts = ("localhost", f"{name}.{namespace}.svc", f"{name}.{namespace}", name)
    addresses = ("127.0.0.1", "::1")
    return [
        *(x509.DNSName(host) for host in hosts),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second server that starts at the same moment from writing the other half of the pair."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _reusable(cert: Path, key: Path, names: list[x509.GeneralName], now: datetime) -> bool:
    try:
        pair = read_pair(cert, key, now=now)
        present = pair.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (CertificateError, ValueError, x509.ExtensionNotFound):
        return False
    return now + _LEAST_LEFT <= pair.not_after and set(names) <= set(present)


def _write_pair(cert: Path, key: Path, names: list[x509.GeneralName], now: datetime) -> None:
    """Write both files; a crash between the two leaves a pair that does not match, which is made anew."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    issuer = _name(f"metrics-apiserver-ca@{int(now.timestamp())}")
    authority = _certificate(issuer, issuer, authority_key.public_key(), authority_key, now, names=None)
    leaf = _certificate(_name("metrics-apiserver"), issuer, leaf_key.public_key(), authority_key, now, names=names)
    pem = serialization.Encoding.PEM
    _replace(key, leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    _replace(cert, leaf.public_bytes(pem) + authority.public_bytes(pem))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    signing_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    names: list[x509.GeneralName] | None,
) -> x509.Certificate:
    """Sign a leaf for `names`, or the CA where there are none; with every extension that RFC 5280 asks for."""
    is_authority = names is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(_key_usage(is_authority=is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signing_key, hashes.SHA256())


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _replace(path: Path, content: bytes) -> None:
    # mkstemp makes the file 0600, whatever the umask.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
