"""Certificates for tests: an authority that signs what it is asked to, and the PEM files of it."""

import datetime
import enum
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Certificate", "Usage", "write_private", "write_signing_keys"]

YEAR = datetime.timedelta(days=365)
# A certificate starts to count a little before it is made: other processes' clocks may be behind.
SKEW = datetime.timedelta(minutes=5)


class Usage(enum.Flag):
    """What a certificate is for; `Usage.SERVER | Usage.CLIENT` is one for both."""

    SERVER = enum.auto()
    CLIENT = enum.auto()


EXTENDED_KEY_USAGES = {Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Certificate:
    """A certificate together with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone, without its authority."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as PKCS #8, not encrypted."""
        return _private_pem(self.key)

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write `<name>.crt` and, readable by us alone, `<name>.key`; return both paths."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(self.certificate_pem)
        write_private(key, self.key_pem)
        return certificate, key


class Authority:
    """A certificate authority that lives in memory."""

    def __init__(self, common_name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        builder = _builder(subject=name, issuer=name, key=key, not_after=_now() + YEAR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(authority=True), critical=True)
        self.certificate = Certificate(builder.sign(key, hashes.SHA256()), key)

    @property
    def certificate_pem(self) -> bytes:
        """What others need to trust this authority."""
        return self.certificate.certificate_pem

    def issue(
        self,
        common_name: str,
        *,
        organizations: Sequence[str] = (),
        dns_names: Sequence[str] = (),
        ip_addresses: Sequence[str] = (),
        usage: Usage = Usage.CLIENT,
        not_after: datetime.datetime | None = None,
    ) -> Certificate:
        """Sign a certificate for a new key. `not_after` is aware and may be past, which gives an expired one."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(
            subject=_name(common_name, organizations),
            issuer=self.certificate.certificate.subject,
            key=key,
            not_after=_now() + YEAR if not_after is None else not_after,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([EXTENDED_KEY_USAGES[single] for single in usage]), critical=False
        )
        # Python 3.13 and later refuse a certificate that does not name its authority's key.
        own_key = x509.SubjectKeyIdentifier.from_public_key(self.certificate.key.public_key())
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_key), critical=False
        )
        if dns_names or ip_addresses:
            addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses]
            names = [*(x509.DNSName(name) for name in dns_names), *addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Certificate(builder.sign(self.certificate.key, hashes.SHA256()), key)


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, from its first byte on; one that is there is replaced, not reused with its mode."""
    path.unlink(missing_ok=True)

    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    # "x": nobody puts a file of theirs in between. Path.open has no opener.
    with open(path, "xb", opener=private) as file:
        file.write(content)


def write_signing_keys(directory: Path, name: str) -> tuple[Path, Path]:
    """Write an RSA key pair, `<name>.pub` and `<name>.key`, which signs service account tokens; return both paths."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public, private = directory / f"{name}.pub", directory / f"{name}.key"
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    write_private(private, _private_pem(key))
    return public, private


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _name(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    """Each organization is a relative name of its own: Kubernetes reads them as the groups of a user."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    *, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, not_after: datetime.datetime
) -> x509.CertificateBuilder:
    public_key = key.public_key()
    # An expired certificate has to have begun before it ended.
    not_before = min(_now() - SKEW, not_after - datetime.timedelta(days=1))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
