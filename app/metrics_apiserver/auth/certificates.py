"""Judges a client's certificate: who signed it, when it is good, for what, and whom it names.

The chain is OpenSSL's to build and verify. Only the peer's own certificate comes this far, so that intermediates have
to be in the bundle. What OpenSSL does not look at without a purpose is looked at here: extended key usage, as Go does
along the whole chain, and hashes that nobody should trust any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

__all__ = ["CertificateBundle", "CertificateRefusedError", "Subject", "load_certificate", "subject_of"]

# Several times the largest that make sense; no larger one gets through the handshake (`serving.tls`).
_MAX_BYTES = 8192
_CLIENT_USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
# Go refuses both (crypto/x509 `InsecureAlgorithmError`).
_WEAK_HASHES = ("md5", "sha1")


class CertificateRefusedError(Exception):
    """The certificate is good for nobody here; the sentence is for the log."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The names in a certificate; of several common names the last counts, as in Go."""

    common_name: str
    organizations: tuple[str, ...]


class CertificateBundle:
    """The CAs of one kind: whoever one of them signed for client authentication is known; empty, nobody is."""

    def __init__(self, certificates: Iterable[bytes] = ()) -> None:
        """Take CA certificates (DER). Raises ValueError for one that cannot be read."""
        self.ders = tuple(dict.fromkeys(certificates))
        try:
            loaded = [x509.load_der_x509_certificate(der) for der in self.ders]
            self._certificates = [crypto.X509.from_cryptography(certificate) for certificate in loaded]
        except crypto.Error as error:
            raise ValueError("OpenSSL cannot read one of the certificates") from error

    def __bool__(self) -> bool:
        return bool(self.ders)

    def verify(self, certificate: x509.Certificate, now: datetime) -> tuple[float, float]:
        """Verify a client's certificate, and return from when until when it is good (POSIX time).

        Raises CertificateRefusedError.
        """
        if not self:
            raise CertificateRefusedError("there is no such CA")
        try:
            chain = self._chain(certificate, now)
            _check_usage(chain)
            _check_hashes(chain)
            begin = max(link.not_valid_before_utc for link in chain)
            end = min(link.not_valid_after_utc for link in chain)
        except (CertificateRefusedError, crypto.X509StoreContextError) as error:
            raise CertificateRefusedError(str(error)) from error
        except Exception as error:
            # A hostile certificate may fail anywhere in two libraries.
            raise CertificateRefusedError(f"it cannot be verified ({type(error).__name__})") from error
        if not begin <= now <= end:
            raise CertificateRefusedError("it is not in date")
        return begin.timestamp(), end.timestamp()

    def _chain(self, certificate: x509.Certificate, now: datetime) -> Sequence[x509.Certificate]:
        # A store of its own: the time is a property of the store, and threads verify at the same time.
        store = crypto.X509Store()
        for authority in self._certificates:
            store.add_cert(authority)
        store.set_time(now.astimezone(UTC))
        # As in Go, whatever is in the bundle is trusted: an intermediate need not have its root there.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(certificate))
        return [link.to_cryptography() for link in context.get_verified_chain()]


def load_certificate(der: bytes) -> x509.Certificate:
    """Read a client's certificate. Raises CertificateRefusedError."""
    if len(der) > _MAX_BYTES:
        raise CertificateRefusedError("it is too large")
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:
        raise CertificateRefusedError("it is not a certificate that can be read") from error


def subject_of(certificate: x509.Certificate) -> Subject:
    """Return the names in a certificate. Raises CertificateRefusedError."""
    try:
        attributes = list(certificate.subject)
        names = _values(attributes, NameOID.COMMON_NAME)
        return Subject(names[-1] if names else "", tuple(_values(attributes, NameOID.ORGANIZATION_NAME)))
    except Exception as error:
        raise CertificateRefusedError("its subject cannot be read") from error


def _values(attributes: Sequence[x509.NameAttribute[str | bytes]], oid: x509.ObjectIdentifier) -> list[str]:
    found = [each.value for each in attributes if each.oid == oid and isinstance(each.value, str)]
    for value in found:
        # Half a surrogate pair, which two bytes can spell, has no place in JSON.
        value.encode("utf-8")
    return found


def _check_usage(chain: Iterable[x509.Certificate]) -> None:
    for certificate in chain:
        try:
            usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            continue
        if not any(usage in _CLIENT_USAGES for usage in usages):
            raise CertificateRefusedError("it, or a CA of its chain, is not for client authentication")


def _check_hashes(chain: Sequence[x509.Certificate]) -> None:
    # Nobody needs the signature of the last one: it is trusted as it is.
    for certificate in chain[:-1]:
        algorithm = certificate.signature_hash_algorithm
        if algorithm is not None and algorithm.name in _WEAK_HASHES:
            raise CertificateRefusedError(f"it, or a CA of its chain, is signed with {algorithm.name}")
