"""Certificate authorities from PEM: what counts, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from metrics_apiserver.kube.authorities import authority_problems, parse_authorities, read_authorities
from metrics_apiserver.settings import AuthenticationSettings
from tests.controlplane.certificates import Authority

ONE, TWO = Authority("one"), Authority("two")
BROKEN = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("pem", "expected"),
    [
        pytest.param(ONE.certificate_pem, [ONE], id="one"),
        pytest.param(TWO.certificate_pem + ONE.certificate_pem, [TWO, ONE], id="several, in their order"),
        pytest.param(
            b"# ours\n" + ONE.certificate_pem + b"\n\xff\n" + TWO.certificate_pem, [ONE, TWO], id="text around"
        ),
        pytest.param(ONE.certificate.key_pem + ONE.certificate_pem, [ONE], id="a key is passed over"),
        pytest.param(ONE.certificate_pem + TWO.certificate_pem[:200], [ONE], id="a block without its end"),
    ],
)
def test_certificates_are_read(pem: bytes, expected: list[Authority]) -> None:
    assert parse_authorities(pem) == tuple(each.certificate.certificate.public_bytes(Encoding.DER) for each in expected)


BAD: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no PEM", b"\xff\xfe"),
    ("a key alone", ONE.certificate.key_pem),
    ("a block without its end alone", ONE.certificate_pem[:200]),
    ("a block that is not a certificate", ONE.certificate_pem + BROKEN),
]


@pytest.mark.parametrize("pem", [pytest.param(pem, id=what) for what, pem in BAD])
def test_a_file_without_a_certificate_is_an_error_that_names_it(tmp_path: Path, pem: bytes) -> None:
    path = tmp_path / "ca.crt"
    path.write_bytes(pem)
    with pytest.raises(ValueError, match="there is no certificate in PEM in it that can be read") as caught:
        read_authorities(path)
    assert str(caught.value).startswith(f"{path}: ")
    for flag, settings in {
        "--client-ca-file": AuthenticationSettings(client_ca_file=str(path)),
        "--requestheader-client-ca-file": AuthenticationSettings(requestheader_client_ca_file=str(path)),
    }.items():
        sentence = f"{flag}={path}: there is no certificate in PEM in it that can be read"
        assert [str(problem) for problem in authority_problems(settings)] == [sentence]


def test_a_file_that_is_not_there_is_an_error_and_the_settings_problem(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    with pytest.raises(ValueError, match=r"ca\.crt: No such file or directory"):
        read_authorities(path)
    assert authority_problems(AuthenticationSettings(client_ca_file=str(path))) == []


def test_a_good_file_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    path.write_bytes(ONE.certificate_pem)
    assert len(read_authorities(path)) == 1
    assert authority_problems(AuthenticationSettings(client_ca_file=str(path))) == []
    assert authority_problems(AuthenticationSettings()) == []
