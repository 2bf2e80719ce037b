"""The serving certificate and its key as one thing: read of one moment, and a pair only if it can be served."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL

from metrics_apiserver.settings import Problem, setting

__all__ = ["CertificateError", "Contents", "Pair", "alternative_names", "check_contents", "read_contents", "read_pair"]

# A Secret is swapped once in a minute at the most: a second swap between two reads is chance, a fifth is a mistake.
_TRIES = 5


class CertificateError(Exception):
    """There is no usable serving certificate; the problems say why, and hold no key material."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))


@dataclass(frozen=True, slots=True)
class Contents:
    """What both files hold, None where one cannot be read; the problems say why."""

    cert_file: Path
    key_file: Path
    cert: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key that OpenSSL serves, and what both were read from."""

    contents: Contents
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes = field(repr=False)

    @property
    def not_after(self) -> datetime:
        """When the certificate expires."""
        return self.leaf.not_valid_after_utc

    def put_into(self, context: SSL.Context) -> None:
        """Let a context serve this pair."""
        context.use_certificate(self.leaf)
        for certificate in self.chain:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(self.key)  # type: ignore[arg-type]  # of the kinds it lacks OpenSSL says so
        context.check_privatekey()

    def __str__(self) -> str:
        names = ", ".join(alternative_names(self.leaf)) or "no name"
        return f"{self.leaf.subject.rfc4514_string()}, for {names}, expires on {self.not_after:%F %T} UTC"


def read_pair(cert_file: Path, key_file: Path, *, now: datetime | None = None) -> Pair:
    """Read a pair and check it. Raises CertificateError with all that is wrong."""
    return check_contents(read_contents(cert_file, key_file), now=now)


def read_contents(cert_file: Path, key_file: Path) -> Contents:
    """Read both files of one moment: of links, such as a mounted Secret's, both before a swap or both after it."""
    for _ in range(_TRIES):
        resolved = os.path.realpath(cert_file), os.path.realpath(key_file)
        cert, cert_problem = _read(resolved[0])
        key, key_problem = _read(resolved[1])
        if (os.path.realpath(cert_file), os.path.realpath(key_file)) == resolved:
            break
    else:
        cert = key = None
        cert_problem = key_problem = "it is replaced faster than it can be read"
    problems = [_of_cert(cert_file, cert_problem)] if cert_problem else []
    problems += [_of_key(key_file, key_problem)] if key_problem else []
    return Contents(cert_file, key_file, cert, key, tuple(problems))


def check_contents(contents: Contents, *, now: datetime | None = None) -> Pair:
    """Make a pair of what was read. Raises CertificateError with all that is wrong."""
    problems = list(contents.problems)
    certificates = key = None
    try:
        certificates = _certificates(contents.cert) if contents.cert is not None else None
    except _UnreadableError as error:
        problems.append(_of_cert(contents.cert_file, str(error)))
    try:
        key = _private_key(contents.key) if contents.key is not None else None
    except _UnreadableError as error:
        problems.append(_of_key(contents.key_file, str(error)))
    if certificates:
        problems += [_of_cert(contents.cert_file, text) for text in _wrong_dates(certificates[0], now)]
    if not certificates or key is None:
        raise CertificateError(*problems)
    pair = Pair(contents, certificates[0], tuple(certificates[1:]), key)
    problems += _wrong_together(pair)
    if problems:
        raise CertificateError(*problems)
    return pair


def alternative_names(leaf: x509.Certificate) -> list[str]:
    """List the DNS names and addresses of a certificate."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return []
    found = [*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress)]
    return [str(name) for name in found]


class _UnreadableError(Exception):
    """A file does not hold what it should; the message says so, and holds no key material."""


def _of_cert(path: Path, text: str) -> Problem:
    return setting("tls_cert_file").problem(text, path)


def _of_key(path: Path, text: str) -> Problem:
    return setting("tls_private_key_file").problem(text, path)


def _read(path: str) -> tuple[bytes | None, str]:
    try:
        return Path(path).read_bytes(), ""
    except OSError as error:
        return None, f"it cannot be read: {error.strerror}"


def _certificates(content: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise _UnreadableError("there is no certificate in PEM in it") from error
    # What is missing its end is skipped by the parser: half a file would do without its intermediates.
    if content.count(b"-----BEGIN ") != content.count(b"-----END "):
        raise _UnreadableError("it ends in the middle of a certificate")
    return certificates


def _private_key(content: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(content, password=None)
    except TypeError as error:
        raise _UnreadableError("the key is encrypted; give one without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm):
        # Their messages are not for a log that others read, and so not for a traceback either.
        raise _UnreadableError("there is no private key in PEM in it that can be used") from None


def _wrong_dates(leaf: x509.Certificate, now: datetime | None) -> Iterator[str]:
    now = now or datetime.now(UTC)
    if now > leaf.not_valid_after_utc:
        yield f"the certificate expired on {leaf.not_valid_after_utc:%F %T} UTC"
    if now < leaf.not_valid_before_utc:
        yield f"the certificate is not valid before {leaf.not_valid_before_utc:%F %T} UTC"


def _wrong_together(pair: Pair) -> Iterator[Problem]:
    """Compare the keys, and let OpenSSL say whether it serves them."""
    cert_file, key_file = pair.contents.cert_file, pair.contents.key_file
    if not _belong_together(pair.leaf, pair.key):
        yield _of_key(key_file, f"this is not the key of the certificate in {cert_file}")
        return
    try:
        pair.put_into(SSL.Context(SSL.TLS_SERVER_METHOD))
    except TypeError:
        yield _of_key(key_file, "keys of this kind cannot be served")
    except SSL.Error as error:
        # OpenSSL's own words, such as "ee key too small"; they hold no key material.
        reasons = [reason for _library, _function, reason in (error.args[0] if error.args else [])]
        said = ", ".join(reasons) or "OpenSSL gives no reason"
        yield Problem(f"{cert_file} and {key_file} cannot be served: {said}", (setting("tls_cert_file").key,))


def _belong_together(leaf: x509.Certificate, key: PrivateKeyTypes) -> bool:
    encoding, layout = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        public = leaf.public_key().public_bytes(encoding, layout)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return key.public_key().public_bytes(encoding, layout) == public
