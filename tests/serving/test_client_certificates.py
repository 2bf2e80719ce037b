"""Client certificates in the handshake: asked for, passed on, and not judged."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL, crypto

from metrics_apiserver.serving.certificates import ensure_certificate
from metrics_apiserver.serving.pairs import Pair, read_pair
from metrics_apiserver.serving.tls import TLSContext, TLSError, _judge_size, build_context
from metrics_apiserver.settings import ServingSettings
from tests.controlplane.certificates import Authority, Certificate, Usage
from tests.serving.ends import handshaken

MINE, FOREIGN = Authority("mine"), Authority("foreign")
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("certificates")
    return read_pair(*ensure_certificate(ServingSettings(cert_dir=str(folder))))


def _client(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair.contents.cert_file))


def _asking(pair: Pair, *authorities: Authority) -> TLSContext:
    return TLSContext(build_context(pair, ServingSettings(), tuple(_der(each.certificate) for each in authorities)))


def _der(certificate: Certificate) -> bytes:
    return certificate.certificate.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(None, id="none"),
        pytest.param(MINE.issue("user"), id="a good one"),
        pytest.param(FOREIGN.issue("user"), id="one of another authority"),
        pytest.param(MINE.issue("user", not_after=YESTERDAY), id="an expired one"),
        pytest.param(MINE.issue("user", usage=Usage.SERVER), id="one for servers only"),
        pytest.param(FOREIGN.certificate, id="a self-signed one"),
    ],
)
@pytest.mark.parametrize("authorities", [(), (MINE,)], ids=["no authority is known", "one is known"])
def test_every_certificate_passes(
    pair: Pair,
    tmp_path: Path,
    version: ssl.TLSVersion,
    shown: Certificate | None,
    authorities: tuple[Authority, ...],
) -> None:
    client = _client(pair)
    client.minimum_version = client.maximum_version = version
    if shown is not None:
        client.load_cert_chain(*shown.write(tmp_path, "client"))
    with handshaken(_asking(pair, *authorities), client) as (served, wrapped):
        served.sendall(b"hello")
        assert served.write() == 0
        assert wrapped.recv(5) == b"hello"
        assert served.peer_certificate == (None if shown is None else _der(shown))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_resumed_session_has_the_certificate_of_the_first(
    pair: Pair, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    user, client = MINE.issue("user"), _client(pair)
    client.minimum_version = client.maximum_version = version
    client.load_cert_chain(*user.write(tmp_path, "client"))
    context = _asking(pair, MINE)
    with handshaken(context, client) as (served, wrapped):
        served.sendall(b"hello")
        assert served.write() == 0
        assert wrapped.recv(5) == b"hello"
        session = wrapped.session
    with handshaken(context, client, session) as (served, wrapped):
        assert wrapped.session_reused
        assert served.peer_certificate == _der(user)
    # With another context's keys there is no way to read the ticket.
    with handshaken(_asking(pair, MINE), client, session) as (served, wrapped):
        assert not wrapped.session_reused
        assert served.peer_certificate == _der(user)


@pytest.mark.parametrize(
    ("authorities", "named"),
    [
        pytest.param((), [], id="none is known"),
        pytest.param((MINE, FOREIGN), ["mine", "foreign"], id="two are known"),
    ],
)
def test_the_authorities_are_named_to_the_client(
    pair: Pair, authorities: tuple[Authority, ...], named: list[str]
) -> None:
    near, far = socket.socketpair()
    served = _asking(pair, *authorities).wrap_socket(far)
    asked = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), near)
    asked.set_connect_state()
    near.settimeout(10)
    near.setblocking(True)
    with ThreadPoolExecutor(1) as pool, closing(served), near:
        handshake = pool.submit(served.do_handshake)
        asked.do_handshake()
        handshake.result()
        assert [name.CN for name in asked.get_client_ca_list()] == named


def test_none_is_asked_for_where_nobody_would_look_at_it(pair: Pair, tmp_path: Path) -> None:
    client = _client(pair)
    client.load_cert_chain(*MINE.issue("user").write(tmp_path, "client"))
    with handshaken(TLSContext(build_context(pair, ServingSettings())), client) as (served, _):
        assert served.peer_certificate is None


def test_an_authority_that_is_no_certificate_is_said(pair: Pair) -> None:
    with pytest.raises(TLSError):
        build_context(pair, ServingSettings(), (b"no certificate",))


def test_no_chain_is_looked_at(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL asks about each certificate that it looks at: a client's own is the only one."""
    asked: list[int] = []

    def judge(tls: SSL.Connection, certificate: crypto.X509, number: int, depth: int, ok: int) -> bool:
        asked.append(depth)
        return _judge_size(tls, certificate, number, depth, ok)

    monkeypatch.setattr("metrics_apiserver.serving.tls._judge_size", judge)
    client = _client(pair)
    cert, key = MINE.issue("user").write(tmp_path, "client")
    cert.write_bytes(cert.read_bytes() + MINE.certificate_pem)
    client.load_cert_chain(cert, key)
    with handshaken(_asking(pair, MINE), client) as (served, wrapped):
        served.sendall(b"hello")
        assert served.write() == 0
        assert wrapped.recv(5) == b"hello"
        # More than the client's own came.
        assert served.certificate_bytes > len(served.peer_certificate or b"")
    assert set(asked) == {0}
