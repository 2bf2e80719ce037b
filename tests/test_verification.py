"""Certificates of other servers, as Go takes and refuses them; on the newest Python too (tests/packaging)."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.config import load_client
from metrics_apiserver.provider import ServiceUnavailableError
from metrics_apiserver.provider.http import HTTPClient
from metrics_apiserver.verification import client_context
from tests.controlplane.certificates import Certificate
from tests.providers.proxy.other import OtherServer, reply

DAY = datetime.timedelta(days=1)
LOCALHOST = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
USAGE = {"content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"}
OFF = dict.fromkeys([*USAGE, "decipher_only"], False)


def _certificate(
    name: str,
    *extensions: x509.ExtensionType,
    issuer: Certificate | None = None,
    ends: datetime.timedelta = DAY,
) -> Certificate:
    """A certificate with these extensions and no others; without an issuer it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * DAY)
        .not_valid_after(now + ends)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return Certificate(builder.sign(key if issuer is None else issuer.key, hashes.SHA256()), key)


def _authority(*extensions: x509.ExtensionType, issuer: Certificate | None = None, name: str = "ca") -> Certificate:
    return _certificate(name, x509.BasicConstraints(ca=True, path_length=None), *extensions, issuer=issuer)


def _good_authority(name: str = "ca") -> Certificate:
    return _authority(x509.KeyUsage(False, key_cert_sign=True, crl_sign=True, **OFF), name=name)


# What is trusted, and what the server shows.
_Pair = tuple[Certificate, Certificate]


def _microk8s() -> _Pair:
    ca = _authority()
    return ca, _certificate("server", LOCALHOST, SERVER, issuer=ca)


def _eks() -> _Pair:
    ca = _good_authority()
    return ca, _certificate("server", LOCALHOST, issuer=ca)


def _self_signed() -> _Pair:
    shown = _certificate("server", LOCALHOST)
    return shown, shown


def _intermediate() -> _Pair:
    ca = _authority(issuer=_good_authority("root"), name="intermediate")
    return ca, _certificate("server", LOCALHOST, SERVER, issuer=ca)


def _stranger() -> _Pair:
    return _good_authority(), _certificate("server", LOCALHOST, issuer=_good_authority())


def _expired() -> _Pair:
    ca = _good_authority()
    return ca, _certificate("server", LOCALHOST, issuer=ca, ends=-DAY)


def _common_name() -> _Pair:
    ca = _good_authority()
    return ca, _certificate("localhost", SERVER, issuer=ca)


def _other_name() -> _Pair:
    ca = _good_authority()
    return ca, _certificate("server", x509.SubjectAlternativeName([x509.DNSName("other")]), issuer=ca)


def _for_clients() -> _Pair:
    ca = _good_authority()
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return ca, _certificate("server", LOCALHOST, usage, issuer=ca)


def _not_an_authority() -> _Pair:
    root = _good_authority()
    middle = _certificate("middle", x509.BasicConstraints(ca=False, path_length=None), issuer=root)
    return root, _certificate("server", LOCALHOST, issuer=middle)


TAKEN = [
    pytest.param(_microk8s, id="a CA without keyUsage"),
    pytest.param(_eks, id="no key identifiers"),
    pytest.param(_self_signed, id="the server's own certificate is the CA"),
    pytest.param(_intermediate, id="an intermediate is trusted, its root is not"),
]
REFUSED = [
    pytest.param(_stranger, id="another CA of the same name"),
    pytest.param(_expired, id="out of date"),
    pytest.param(_common_name, id="a name in the common name only"),
    pytest.param(_other_name, id="another name"),
    pytest.param(_for_clients, id="a certificate for clients"),
    pytest.param(_not_an_authority, id="signed by what is not a CA"),
]


def _by_cluster_client(url: str, ca: Path) -> None:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "abc"}}],
        "current-context": "c",
    }
    path = ca.with_name("kubeconfig")
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    client = ClusterClient(load_client(str(path)))
    try:
        client.get_json("/version")
    finally:
        client.close()


def _by_provider_client(url: str, ca: Path) -> None:
    client = HTTPClient(url, logger=logging.getLogger("test"), ca_file=str(ca))
    try:
        client.get("/version", {}, timeout=5)
    finally:
        client.close()


CLIENTS = [
    pytest.param(_by_cluster_client, id="the cluster's client"),
    pytest.param(_by_provider_client, id="a provider's client"),
]
Ask = Callable[[str, Path], None]


@pytest.fixture(name="serve")
def _serve(tmp_path: Path) -> Iterator[Callable[[_Pair], tuple[OtherServer, Path]]]:
    started = []

    def serve(pair: _Pair) -> tuple[OtherServer, Path]:
        trusted, shown = pair
        ca = tmp_path / "ca.crt"
        ca.write_bytes(trusted.certificate_pem)
        started.append(OtherServer(shown, tmp_path))
        started[-1].answer = reply(200, b"{}")
        return started[-1], ca

    yield serve
    for each in started:
        each.close()


Serve = Callable[[_Pair], tuple[OtherServer, Path]]


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("make", TAKEN)
def test_what_go_takes_is_taken(serve: Serve, make: Callable[[], _Pair], ask: Ask) -> None:
    server, ca = serve(make())
    ask(server.url, ca)
    assert [request.target for request in server.requests] == ["/version"]


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("make", REFUSED)
def test_what_go_refuses_is_refused(serve: Serve, make: Callable[[], _Pair], ask: Ask) -> None:
    server, ca = serve(make())
    with pytest.raises((ClusterError, ServiceUnavailableError)):
        ask(server.url, ca)
    assert server.requests == []


def test_a_cluster_that_is_not_to_be_verified_is_not(serve: Serve) -> None:
    """As a kubeconfig may say."""
    server, ca = serve(_stranger())
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server.url, "insecure-skip-tls-verify": True}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "current-context": "c",
    }
    path = ca.with_name("kubeconfig")
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    client = ClusterClient(load_client(str(path)))
    with pytest.warns(match="Unverified HTTPS request"):
        client.get_json("/version")
    client.close()


def test_strictness_is_off_whatever_the_default_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an older Python, too, which has another default than those of today."""
    default = ssl.create_default_context

    def strict(**arguments: str | None) -> ssl.SSLContext:
        context = default(**arguments)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    flags = client_context().verify_flags
    assert not flags & ssl.VERIFY_X509_STRICT
    assert flags & ssl.VERIFY_X509_PARTIAL_CHAIN


def test_authorities_are_those_of_the_file_at_each_connection(serve: Serve) -> None:
    """One that was taken out of the file is trusted no more, also by a connection that is made again."""
    first, second = _microk8s(), _eks()
    server, ca = serve(first)
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server.url, "certificate-authority": str(ca)}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "current-context": "c",
    }
    path = ca.with_name("kubeconfig")
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    client = ClusterClient(load_client(str(path)))
    client.get_json("/version")
    ca.write_bytes(second[0].certificate_pem)
    server.serve_as(second[1])
    server.break_off()
    client.post_json("/review", {})
    server.serve_as(first[1])
    server.break_off()
    with pytest.raises(ClusterError, match="certificate"):
        client.post_json("/review", {})
    client.close()
