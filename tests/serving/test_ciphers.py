"""The names of --tls-cipher-suites."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from metrics_apiserver.ciphers import cipher_list, cipher_problems, insecure_ciphers
from metrics_apiserver.serving.certificates import ensure_certificate
from metrics_apiserver.serving.pairs import Pair, read_pair
from metrics_apiserver.serving.tls import TLSContext, build_context
from metrics_apiserver.settings import ServingSettings
from tests.serving.ends import distrustful, handshaken, write_rsa_pair

# Go's name, and the identifier of RFC 5246, 5289 and 7905 by which it is another library's.
SUITES = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xC02B),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC02F),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xC02C),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xC030),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA9),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA8),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", 0xCCA9),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", 0xCCA8),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xC009),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC013),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 0xC00A),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0xC014),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xC023),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xC027),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009C),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", 0x009D),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003C),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", 0x002F),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", 0x0035),
]
ALL = "ALL:COMPLEMENTOFALL"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Give a pair for each kind of signature."""
    folder: Path = tmp_path_factory.mktemp("pairs")
    write_rsa_pair(folder / "c", folder / "k", bits=2048)
    return {
        "rsa": read_pair(folder / "c", folder / "k"),
        "ecdsa": read_pair(*ensure_certificate(ServingSettings(cert_dir=str(folder)))),
    }


def _context(pairs: dict[str, Pair], *names: str) -> TLSContext:
    pair = pairs["ecdsa" if "_ECDSA_" in names[0] else "rsa"]
    return TLSContext(build_context(pair, ServingSettings(tls_cipher_suites=names)))


def _client(version: ssl.TLSVersion) -> ssl.SSLContext:
    client = distrustful()
    client.set_ciphers(ALL)
    client.minimum_version = client.maximum_version = version
    return client


@pytest.mark.parametrize(("name", "identifier"), SUITES, ids=[name for name, _ in SUITES])
def test_a_suite_that_can_be_named_is_the_one_that_is_used(pairs: dict[str, Pair], name: str, identifier: int) -> None:
    client = _client(ssl.TLSVersion.TLSv1_2)
    assert cipher_problems([name]) == []
    with handshaken(_context(pairs, name), client) as (_, wrapped):
        used = wrapped.cipher()
    identifiers = {each["name"]: each["id"] & 0xFFFF for each in client.get_ciphers()}
    assert used is not None
    assert identifiers[used[0]] == identifier


def test_the_suites_of_tls_1_3_are_always_there(pairs: dict[str, Pair]) -> None:
    with handshaken(_context(pairs, SUITES[0][0]), _client(ssl.TLSVersion.TLSv1_3)) as (_, wrapped):
        assert wrapped.version() == "TLSv1.3"


def test_where_only_tls_1_3_is_named_1_2_has_no_suite(pairs: dict[str, Pair]) -> None:
    context = _context(pairs, "TLS_AES_128_GCM_SHA256")
    assert cipher_problems(["TLS_AES_128_GCM_SHA256"]) == []
    with handshaken(context, _client(ssl.TLSVersion.TLSv1_3)) as (_, wrapped):
        assert wrapped.version() == "TLSv1.3"
    with (
        pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"),
        handshaken(context, _client(ssl.TLSVersion.TLSv1_2)),
    ):
        pass


@pytest.mark.parametrize(
    "name",
    [
        "TLS_RSA_WITH_RC4_128_SHA",
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "tls_ecdhe_rsa_with_aes_128_gcm_sha256",
        "ALL",
    ],
)
def test_another_name_is_a_problem_that_lists_the_possible_ones(name: str) -> None:
    (problem,) = cipher_problems(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", name])
    assert str(problem).startswith(f"--tls-cipher-suites={name}: there is no such suite")
    assert all(each in str(problem) for each, _ in SUITES)
    assert "TLS_AES_256_GCM_SHA384" in str(problem)


def test_every_wrong_name_is_said() -> None:
    assert [str(problem).split(":")[0] for problem in cipher_problems(["A", "B"])] == [
        "--tls-cipher-suites=A",
        "--tls-cipher-suites=B",
    ]


def test_what_go_calls_insecure_is_known() -> None:
    names = [name for name, _ in SUITES]
    expected = [name for name in names if name.startswith("TLS_RSA_") or name.endswith("_CBC_SHA256")]
    assert insecure_ciphers(names) == expected


def test_the_default_has_ephemeral_keys_and_authenticated_encryption_only() -> None:
    default = cipher_list([]).decode().split(":")
    assert len(default) == 6
    assert all(
        name.startswith("ECDHE-") and name.endswith(("GCM-SHA256", "GCM-SHA384", "POLY1305")) for name in default
    )
