"""A pair of files: what is wrong with it, and that it is read of one moment."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from metrics_apiserver.serving.pairs import CertificateError, read_contents, read_pair
from tests.controlplane.certificates import Authority, Usage
from tests.serving.ends import write_rsa_pair
from tests.serving.secret import Secret

NOW = datetime.now(UTC)
AUTHORITY = Authority("authority")
GOOD = AUTHORITY.issue("server", dns_names=["localhost", "b"], ip_addresses=["::1"], usage=Usage.SERVER)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return GOOD.write(tmp_path, "tls")


def _problems(cert: Path, key: Path, *, now: datetime | None = None) -> list[str]:
    with pytest.raises(CertificateError) as raised:
        read_pair(cert, key, now=now)
    return [str(problem) for problem in raised.value.problems]


def test_a_good_pair_is_read_with_its_chain(files: tuple[Path, Path]) -> None:
    files[0].write_bytes(GOOD.certificate_pem + AUTHORITY.certificate_pem)
    pair = read_pair(*files)
    assert (pair.leaf, pair.chain) == (GOOD.certificate, (AUTHORITY.certificate.certificate,))
    assert str(pair) == f"CN=server, for localhost, b, ::1, expires on {pair.not_after:%F %T} UTC"


def test_no_key_is_in_what_a_log_could_hold(files: tuple[Path, Path]) -> None:
    pair = read_pair(*files)
    secret = GOOD.key_pem.decode().splitlines()[1]
    assert secret not in f"{pair} {pair!r} {pair.contents!r}"


@pytest.mark.parametrize(
    ("later", "sentence"),
    [
        pytest.param(timedelta(days=366), "the certificate expired on ", id="expired"),
        pytest.param(timedelta(days=-2), "the certificate is not valid before ", id="not yet valid"),
    ],
)
def test_a_date_is_said(files: tuple[Path, Path], later: timedelta, sentence: str) -> None:
    (problem,) = _problems(*files, now=NOW + later)
    assert problem.startswith(f"--tls-cert-file={files[0]}: {sentence}")


def test_everything_wrong_is_said_at_once_and_no_contents(tmp_path: Path) -> None:
    cert, key = tmp_path / "c", tmp_path / "k"
    cert.write_text("CONTENTS")
    key.write_text("CONTENTS")
    assert _problems(cert, key) == [
        f"--tls-cert-file={cert}: there is no certificate in PEM in it",
        f"--tls-private-key-file={key}: there is no private key in PEM in it that can be used",
    ]


def _write_key(key: PrivateKeyTypes, password: bytes | None = None) -> Callable[[Path, Path], object]:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    content = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return lambda _, path: path.write_bytes(content)


def _cut(path: Path, content: bytes, size: int) -> None:
    path.write_bytes(content[:size])


OF_ANOTHER = "this is not the key of the certificate in"
NO_KEY = "there is no private key in PEM in it that can be used"
CHAIN = GOOD.certificate_pem + AUTHORITY.certificate_pem


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(_write_key(ec.generate_private_key(ec.SECP256R1())), OF_ANOTHER, id="another key"),
        pytest.param(_write_key(ed25519.Ed25519PrivateKey.generate()), OF_ANOTHER, id="another kind of key"),
        pytest.param(_write_key(x25519.X25519PrivateKey.generate()), OF_ANOTHER, id="a key that cannot sign"),
        pytest.param(_write_key(GOOD.key, b"x"), "the key is encrypted", id="an encrypted key"),
        pytest.param(lambda _, key: key.write_bytes(GOOD.certificate_pem), NO_KEY, id="a certificate for a key"),
        pytest.param(lambda _, key: _cut(key, GOOD.key_pem, 60), NO_KEY, id="half a key"),
        pytest.param(lambda cert, _: _cut(cert, CHAIN, 200), "there is no certificate in PEM", id="half a certificate"),
        pytest.param(lambda cert, _: _cut(cert, CHAIN, len(CHAIN) - 100), "ends in the middle", id="half a chain"),
        pytest.param(
            lambda cert, _: cert.unlink(), "it cannot be read: No such file or directory", id="no certificate"
        ),
        pytest.param(lambda cert, key: write_rsa_pair(cert, key, bits=1024), "key too small", id="a weak key"),
    ],
)
def test_a_bad_pair_is_refused_in_one_sentence(
    files: tuple[Path, Path], spoil: Callable[[Path, Path], object], sentence: str
) -> None:
    spoil(*files)
    (problem,) = _problems(*files)
    assert sentence in problem


def test_a_swap_between_the_two_files_mixes_nothing(tmp_path: Path) -> None:
    """The folders of a Secret are swapped and removed all the time; what is read is one of the pairs, or nothing."""
    secret = Secret(tmp_path)
    pairs = [AUTHORITY.issue(name) for name in ("one", "other")]
    secret.put(pairs[0])
    stop = threading.Event()

    def swap() -> None:
        for pair in itertools.cycle(pairs):
            if stop.is_set():
                return
            secret.put(pair)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        found = [read_contents(*secret.files) for _ in range(300)]
    finally:
        stop.set()
        thread.join()
    expected = {(pair.certificate_pem, pair.key_pem) for pair in pairs}
    found.append(read_contents(*secret.files))
    assert (found[-1].cert, found[-1].key) in expected, "nothing is swapped any more"
    assert {(contents.cert, contents.key) for contents in found} <= expected | {(None, None)}
    assert all(contents.problems for contents in found if contents.cert is None)
