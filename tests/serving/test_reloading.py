"""The serving certificate is renewed while the server runs, and what cannot be served is refused."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from metrics_apiserver.serving.pairs import read_pair
from metrics_apiserver.serving.reloading import ServingCertificate
from metrics_apiserver.settings import ServingSettings
from tests.controlplane.certificates import Authority
from tests.serving.conftest import wait_for
from tests.serving.ends import common_name, handshaken, issue, trust, write_rsa_pair

AUTHORITY = Authority("authority")
NOW = datetime.now(UTC)


OLD, NEW = issue(AUTHORITY, "old"), issue(AUTHORITY, "new")


@dataclass
class FakeClock:
    """Stands still until it is told otherwise."""

    # Not that of the module: certificates are made while the tests run.
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, delta: timedelta) -> None:
        self.time += delta
        self.seconds += delta.total_seconds()


@dataclass
class Cluster:
    """What the application would say and be told."""

    authorities: tuple[bytes, ...] | None = None
    observed: list[datetime] = field(default_factory=list)


Files = tuple[Path, Path]


def _certificate(files: Files, cluster: Cluster | None = None, clock: FakeClock | None = None) -> ServingCertificate:
    cluster, clock = cluster or Cluster(), clock or FakeClock()
    return ServingCertificate(
        ServingSettings(),
        read_pair(*files, now=clock.now()),
        authorities=lambda: cluster.authorities,
        observe=cluster.observed.append,
        clock=clock,
    )


def _served(certificate: ServingCertificate) -> str:
    with handshaken(certificate.context, trust(AUTHORITY)) as (_, client):
        return common_name(client)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return OLD.write(tmp_path, "tls")


def _write(cert: bytes | None = None, key: bytes | None = None) -> Callable[[Files], object]:
    def write(files: Files) -> None:
        for path, content in zip(files, (cert, key), strict=True):
            if content is not None:
                path.write_bytes(content)

    return write


@pytest.mark.parametrize(
    ("change", "served", "says"),
    [
        pytest.param(_write(NEW.certificate_pem, NEW.key_pem), "new", None, id="renewed"),
        pytest.param(_write(), "old", None, id="unchanged"),
        pytest.param(_write(cert=NEW.certificate_pem), "old", "not the key of the certificate", id="cert first"),
        pytest.param(_write(key=NEW.key_pem), "old", "not the key of the certificate", id="key first"),
        pytest.param(_write(NEW.certificate_pem[:300], NEW.key_pem), "old", "no certificate in PEM", id="half a cert"),
        pytest.param(_write(NEW.certificate_pem, NEW.key_pem[:100]), "old", "no private key in PEM", id="half a key"),
        pytest.param(_write(b"", b""), "old", "no certificate in PEM in it; --tls-private", id="empty"),
        pytest.param(_write(b"\0" * 999, b"\xff" * 999), "old", "no private key in PEM", id="garbage"),
        pytest.param(lambda files: files[0].unlink(), "old", "cannot be read: No such file", id="the cert is removed"),
        pytest.param(lambda files: files[1].unlink(), "old", "cannot be read: No such file", id="the key is removed"),
        pytest.param(lambda files: write_rsa_pair(*files, bits=1024), "old", "key too small", id="a weak key"),
        pytest.param(
            lambda files: issue(AUTHORITY, "late", not_after=NOW - timedelta(days=1)).write(files[0].parent, "tls"),
            "old",
            "the certificate expired on",
            id="expired",
        ),
    ],
)
def test_what_is_served_after_a_change(
    files: Files,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Files], object],
    served: str,
    says: str | None,
) -> None:
    cluster = Cluster()
    certificate = _certificate(files, cluster)
    change(files)
    for _ in range(3):
        certificate.check()
    assert _served(certificate) == served
    assert len(cluster.observed) == (2 if served == "new" else 1)
    if says is None:
        assert _warnings(caplog) == []
    else:
        (warning,) = _warnings(caplog)
        assert says in warning
    for key in (OLD.key_pem, NEW.key_pem, files[1].read_bytes() if files[1].exists() else b""):
        # The last line of a key may be as short as "A==", which is in any text.
        assert not any(len(line) > 8 and line in caplog.text for line in key.decode("latin-1").splitlines()[1:-1])
    # And whatever it was: the next good pair is taken.
    later = issue(AUTHORITY, "later")
    _write(later.certificate_pem, later.key_pem)(files)
    certificate.check()
    assert _served(certificate) == "later"


def test_each_new_content_that_is_refused_is_said_once(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    certificate = _certificate(files)
    for content in (b"one", b"one", b"other", OLD.certificate_pem, b"other"):
        files[0].write_bytes(content)
        certificate.check()
    assert len(_warnings(caplog)) == 3


def test_a_pair_that_is_not_valid_yet_is_taken_when_it_is(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock(NOW - timedelta(minutes=10))
    certificate = ServingCertificate(ServingSettings(), read_pair(*files), clock=clock)
    NEW.write(files[0].parent, "tls")
    certificate.check()
    assert _served(certificate) == "old"
    clock.pass_by(timedelta(minutes=10))
    certificate.check()
    assert _served(certificate) == "new"
    assert ["not valid before" in warning for warning in _warnings(caplog)] == [True]


def test_names_and_date_are_logged_at_the_start_and_when_renewed(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "metrics_apiserver")
    certificate = _certificate(files)
    NEW.write(files[0].parent, "tls")
    certificate.check()
    date = f"{NEW.certificate.not_valid_after_utc:%F %T} UTC"
    assert [record.getMessage() for record in caplog.records] == [
        f"the serving certificate: CN=old, for localhost, 127.0.0.1, expires on {date}",
        f"the serving certificate was renewed: CN=new, for localhost, 127.0.0.1, expires on {date}",
    ]


def test_the_end_is_announced_once_an_hour_and_again_when_it_has_come(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    files = issue(AUTHORITY, "short", not_after=clock.now() + timedelta(hours=26)).write(tmp_path, "tls")
    certificate = _certificate(files, clock=clock)
    counts = []
    for _ in range(28 * 6):
        certificate.check()
        counts.append(len(_warnings(caplog)))
        clock.pass_by(timedelta(minutes=10))
    # Nothing for two hours, then at once and hourly, and so on after the end.
    assert counts[11:14] == [0, 1, 1]
    assert counts[-1] == 24 + 2
    assert all("expires soon" in warning for warning in _warnings(caplog)[:24])
    assert all("has expired" in warning for warning in _warnings(caplog)[24:])
    NEW.write(tmp_path, "tls")
    certificate.check()
    certificate.check()
    assert len(_warnings(caplog)) == 26
    # One that is renewed for a short time is announced at once.
    for _ in range(2):
        issue(AUTHORITY, "short", not_after=clock.now() + timedelta(hours=1)).write(tmp_path, "tls")
        certificate.check()
    assert len(_warnings(caplog)) == 28


def test_new_authorities_are_a_new_context(files: Files, tmp_path: Path) -> None:
    cluster = Cluster(authorities=())
    certificate = _certificate(files, cluster)
    client = trust(AUTHORITY)
    client.load_cert_chain(*AUTHORITY.issue("user").write(tmp_path, "client"))
    before = certificate.context
    certificate.check()
    assert certificate.context is before
    cluster.authorities = (AUTHORITY.certificate.certificate.public_bytes(serialization.Encoding.DER),)
    # Also while the files cannot be served.
    files[0].write_bytes(b"")
    certificate.check()
    assert certificate.context is not before
    with handshaken(certificate.context, client) as (served, _):
        assert served.peer_certificate is not None


@contextmanager
def _following(files: Files, **options: Any) -> Iterator[ServingCertificate]:
    certificate = ServingCertificate(ServingSettings(), read_pair(*files), **options)
    certificate.start()
    try:
        yield certificate
    finally:
        certificate.stop()
        certificate.join(10)
        assert not any(thread.name == "serving-certificate" for thread in threading.enumerate())


def test_what_is_newer_than_the_start_is_served_from_the_first_connection_on(files: Files) -> None:
    certificate = _certificate(files)
    NEW.write(files[0].parent, "tls")
    certificate.start()
    assert _served(certificate) == "new"
    certificate.stop()
    certificate.join(10)


def test_the_kernel_tells_of_a_change_before_it_is_looked_for(files: Files) -> None:
    with _following(files, interval=600.0) as certificate:
        # The first change may come before the kernel was asked.
        wait_for(lambda: NEW.write(files[0].parent, "tls") and _served(certificate) == "new", "the change")


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_change_that_nothing_tells_of_is_found(tmp_path: Path, moment: str) -> None:
    """The folder is another one: before the start there is none to watch, later the old one is watched."""
    folder = tmp_path / "folder"
    folder.mkdir()
    files = OLD.write(folder, "tls")
    pair = read_pair(*files)
    certificate = ServingCertificate(ServingSettings(), pair, interval=0.1)
    if moment == "before":
        folder.rename(tmp_path / "gone")
    certificate.start()
    if moment == "while":
        folder.rename(tmp_path / "gone")
    folder.mkdir()
    NEW.write(folder, "tls")
    wait_for(lambda: _served(certificate) == "new", "the new certificate")
    certificate.stop()
    certificate.join(10)


def test_a_failed_look_ends_nothing_and_is_said_once(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    looks = []

    def authorities() -> None:
        looks.append(None)
        if 2 < len(looks) < 5:
            raise RuntimeError("no authorities")

    with _following(files, authorities=authorities, interval=0.05):
        wait_for(lambda: len(looks) > 5, "the next looks")
    assert _warnings(caplog) == ["serving-certificate: a change could not be looked at"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_keys_of_tickets_live_for_a_day_and_who_comes_later_is_served_all_the_same(
    files: Files, version: ssl.TLSVersion
) -> None:
    clock, client = FakeClock(), trust(AUTHORITY)
    client.minimum_version = client.maximum_version = version
    certificate = _certificate(files, clock=clock)
    session = None
    resumed = []
    # A day that ends between the third look and the fourth, and another one.
    for hours in (0, 12, 11.9, 0.2, 23, 1.1):
        clock.seconds += hours * 3600
        certificate.check()
        with handshaken(certificate.context, client, session) as (served, wrapped):
            resumed.append(wrapped.session_reused)
            served.sendall(b"hello")
            assert served.write() == 0
            assert wrapped.recv(5) == b"hello"
            session = wrapped.session
    assert resumed == [False, True, True, False, True, False]
