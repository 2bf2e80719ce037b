"""Whose certificate is good, for what, and whom it names."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics_apiserver.auth.certificates import (
    CertificateBundle,
    CertificateRefusedError,
    Subject,
    load_certificate,
    subject_of,
)
from metrics_apiserver.serving.tls import CERTIFICATE_BYTES
from tests.auth.making import ANY, CLIENT, DAY, SERVER, der, make, named, root, subject
from tests.controlplane.certificates import Authority, Certificate

CA, OTHER = root("ca"), root("other")
# The same name, another key: what an attacker would make.
FORGED = Certificate(CA.certificate, ec.generate_private_key(ec.SECP256R1()))
MIDDLE = make(named("middle"), by=CA, authority=True, usages=None)
SERVERS_ONLY = make(named("for servers"), by=CA, authority=True, usages=[SERVER])
OLD = root("ca", ends=-DAY / 2)
ALICE = named("alice", "dev")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def with_sha1(certificate: Certificate, by: Certificate) -> Certificate:
    """Sign a certificate again with SHA-1, which the library does not do."""
    sha256, sha1 = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300906072a8648ce3d0401")
    signed = certificate.certificate.tbs_certificate_bytes
    # Behind tag and length, of one byte or two.
    content = signed[signed[1] - 0x80 + 2 :].replace(sha256, sha1)
    signed = _sequence(content)
    signature = by.key.sign(signed, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - that is the subject
    whole = _sequence(signed + sha1 + b"\x03" + bytes([len(signature) + 1]) + b"\x00" + signature)
    return Certificate(x509.load_der_x509_certificate(whole), certificate.key)


def _sequence(content: bytes) -> bytes:
    size = len(content)
    return b"\x30" + (b"\x82" + size.to_bytes(2, "big") if size > 255 else bytes([0x81, size])) + content


def verify(certificate: Certificate, *authorities: Certificate) -> tuple[float, float]:
    bundle = CertificateBundle([der(authority) for authority in authorities])
    return bundle.verify(load_certificate(der(certificate)), datetime.datetime.now(datetime.UTC))


@pytest.mark.parametrize(
    ("certificate", "bundle"),
    [
        pytest.param(make(ALICE, by=CA), [CA], id="for clients"),
        pytest.param(make(ALICE, by=CA, usages=None), [CA], id="for any use"),
        pytest.param(make(ALICE, by=CA, usages=[ANY]), [CA], id="for any use, said so"),
        pytest.param(make(ALICE, by=CA, usages=[SERVER, CLIENT]), [CA], id="for servers and clients"),
        pytest.param(make(ALICE, by=CA), [OTHER, CA], id="by the second CA of the bundle"),
        pytest.param(make(ALICE, by=MIDDLE), [MIDDLE, CA], id="by an intermediate that is in the bundle"),
        pytest.param(make(ALICE, by=MIDDLE), [MIDDLE], id="by an intermediate whose root is not in the bundle"),
        pytest.param(make(ALICE, by=CA), [OLD, CA], id="beside an expired CA of the same name and key"),
        pytest.param(make(x509.Name([]), by=CA), [CA], id="without a name"),
        pytest.param(make(ALICE, by=CA, extensions=[(UNKNOWN, False)]), [CA], id="with something unknown"),
        pytest.param(CA, [CA], id="the CA's own, as in Go"),
    ],
)
def test_a_certificate_is_good(certificate: Certificate, bundle: list[Certificate]) -> None:
    begin, end = verify(certificate, *bundle)
    leaf = certificate.certificate
    assert (begin, end) == (leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())


@pytest.mark.parametrize(
    ("certificate", "bundle", "reason"),
    [
        pytest.param(make(ALICE, by=CA), [], "there is no such CA", id="an empty bundle"),
        pytest.param(make(ALICE, by=OTHER), [CA], "unable to get local issuer", id="by another CA"),
        pytest.param(make(ALICE, by=FORGED), [CA], "certificate signature failure", id="by another key of its name"),
        pytest.param(make(ALICE), [CA], "self-signed certificate", id="by itself"),
        pytest.param(make(named("ca")), [CA], "self-signed certificate", id="by itself, in the CA's name"),
        pytest.param(make(ALICE, by=MIDDLE), [CA], "unable to get local issuer", id="by an intermediate nobody has"),
        pytest.param(make(ALICE, by=make(named("bob"), by=CA)), [CA], "unable to get", id="by somebody's leaf"),
        pytest.param(
            make(ALICE, by=make(named("bob"), by=CA)), [make(named("bob"), by=CA), CA], "invalid CA",
            id="by a leaf that is in the bundle",
        ),
        pytest.param(make(ALICE, by=CA, usages=[SERVER]), [CA], "not for client", id="for servers"),
        pytest.param(make(ALICE, by=SERVERS_ONLY), [SERVERS_ONLY, CA], "not for client", id="by a CA for servers"),
        pytest.param(make(ALICE, by=CA, ends=-DAY / 2), [CA], "has expired", id="expired"),
        pytest.param(make(ALICE, by=CA, begins=DAY / 2), [CA], "not yet valid", id="not valid yet"),
        pytest.param(make(ALICE, by=OLD), [OLD], "has expired", id="by an expired CA"),
        pytest.param(
            make(ALICE, by=CA, extensions=[(UNKNOWN, True)]), [CA], "unhandled critical", id="with something critical"
        ),
        pytest.param(with_sha1(make(ALICE, by=CA), CA), [CA], "signed with sha1", id="with SHA-1"),
    ],
)  # fmt: skip
def test_a_certificate_is_refused(certificate: Certificate, bundle: list[Certificate], reason: str) -> None:
    with pytest.raises(CertificateRefusedError, match=reason):
        verify(certificate, *bundle)


def test_what_the_tests_of_the_control_plane_sign_is_good() -> None:
    authority = Authority("client-ca")
    verify(authority.issue("alice", organizations=["dev"]), authority.certificate)


def test_a_certificate_is_good_to_the_last_second() -> None:
    authority = root("ca")
    certificate = make(ALICE, by=authority)
    bundle = CertificateBundle([der(authority)])
    leaf = load_certificate(der(certificate))
    last, second = leaf.not_valid_after_utc, datetime.timedelta(seconds=1)
    # The CA ends in the same second or the one before.
    bundle.verify(leaf, last - 2 * second)
    for outside in (last + 2 * second, leaf.not_valid_before_utc - second):
        with pytest.raises(CertificateRefusedError):
            bundle.verify(leaf, outside)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(ALICE, Subject("alice", ("dev",)), id="a user in a group"),
        pytest.param(named("alice", "b", "a"), Subject("alice", ("b", "a")), id="groups in their order"),
        pytest.param(
            subject((NameOID.COMMON_NAME, "alice"), (NameOID.COMMON_NAME, "bob")),
            Subject("bob", ()),
            id="the last of two names",
        ),
        pytest.param(
            x509.Name(
                [
                    x509.RelativeDistinguishedName(
                        [
                            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "dev"),
                            x509.NameAttribute(NameOID.COMMON_NAME, "alice"),
                        ]
                    )
                ]
            ),
            Subject("alice", ("dev",)),
            id="both in one relative name",
        ),
        pytest.param(x509.Name([]), Subject("", ()), id="nothing"),
        pytest.param(subject((NameOID.ORGANIZATION_NAME, "dev")), Subject("", ("dev",)), id="a group alone"),
        pytest.param(
            subject((NameOID.ORGANIZATIONAL_UNIT_NAME, "x"), (NameOID.COMMON_NAME, "日本")),
            Subject("日本", ()),
            id="an organizational unit is no group",
        ),
        pytest.param(named("a\nb\x00c"), Subject("a\nb\x00c", ()), id="control characters stay"),
    ],
)
def test_a_subject_is_read(name: x509.Name, expected: Subject) -> None:
    assert subject_of(load_certificate(der(make(name, by=CA)))) == expected


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda _: b"\x00" * 100, id="zeros"),
        pytest.param(lambda plain: plain[:-1], id="cut"),
        pytest.param(lambda plain: plain + b"\x00", id="with something behind it"),
        pytest.param(lambda plain: plain * 200, id="far too large"),
        pytest.param(lambda plain: plain.replace(b"alice", b"\xff\xfe\xfd\xfc\xfb"), id="a name that is not UTF-8"),
    ],
)
def test_what_is_no_certificate_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CertificateRefusedError):
        subject_of(load_certificate(damage(der(make(ALICE, by=CA)))))


def test_a_good_certificate_may_be_too_large() -> None:
    large = der(make(named("alice", *(f"{number:060}" for number in range(120))), by=CA))
    assert len(large) > CERTIFICATE_BYTES
    with pytest.raises(CertificateRefusedError, match="too large"):
        load_certificate(large)


PLAIN = der(make(ALICE, by=CA))
BUNDLE = CertificateBundle([der(CA)])


def judge(content: bytes) -> None:
    certificate = load_certificate(content)
    subject_of(certificate)
    BUNDLE.verify(certificate, datetime.datetime.now(datetime.UTC))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_changed_certificate_is_refused_and_nothing_else_happens(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(PLAIN)
    for place, value in changes:
        changed[place] = value
    if bytes(changed) == PLAIN:
        return
    with pytest.raises(CertificateRefusedError):
        judge(bytes(changed))


@settings(max_examples=100)
@given(content=st.binary(max_size=300), values=st.lists(st.text(min_size=1, max_size=64), max_size=4))
def test_noise_and_strange_names_are_read_or_refused(content: bytes, values: list[str]) -> None:
    with pytest.raises(CertificateRefusedError):
        load_certificate(content)
    names = subject(*((NameOID.ORGANIZATION_NAME, value) for value in values))
    assert subject_of(load_certificate(der(make(names, by=CA)))) == Subject("", tuple(values))
