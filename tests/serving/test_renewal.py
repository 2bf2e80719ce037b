"""The serving certificate of a real server: renewed under load, and what clients are asked for."""

from __future__ import annotations

import hashlib
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.controlplane.certificates import Authority
from tests.serving.conftest import APPLICATION, Server, read_response, wait_for
from tests.serving.ends import common_name, issue, trust
from tests.serving.secret import Secret

AUTHORITY = Authority("authority")
OLD, NEW = issue(AUTHORITY, "old"), issue(AUTHORITY, "new")
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
Files = tuple[Path, Path]

WITH_AUTHORITIES = APPLICATION.replace(
    "    def note(self",
    """    def client_authorities(self):
        file = FOLDER / "authority"
        return (file.read_bytes(),) if file.exists() else ()
    def observe_certificate(self, not_after): self.note(f"expires={not_after:%F}")
    def note(self""",
).replace(
    '        elif path == "/keys":',
    """        elif path == "/peer":
            body = hashlib.sha256(environ["metrics_apiserver.peer_certificate"] or b"").hexdigest().encode()
        elif path == "/keys":""",
)


@contextmanager
def _load(server: Server, context: ssl.SSLContext) -> Iterator[list[str]]:
    """Connect anew all the time, and collect whose certificate was served, or what failed."""
    seen: list[str] = []
    stop = threading.Event()

    def connect() -> None:
        while not stop.wait(0.005):
            try:
                with server.connect(context) as client:
                    client.sendall(GET)
                    assert read_response(client).endswith(b"hello")
                    seen.append(common_name(client))
            except (OSError, AssertionError) as error:
                seen.append(repr(error))

    threads = [threading.Thread(target=connect) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _start_with(files: Files, start: Callable[..., Server], **options: str) -> Server:
    environ = {
        "METRICS_APISERVER_TLS_CERT_FILE": str(files[0]),
        "METRICS_APISERVER_TLS_PRIVATE_KEY_FILE": str(files[1]),
    }
    server = start(environ=environ, **options)
    wait_for(lambda: _answers(server), "the start")
    return server


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, server.logged()
    try:
        with server.connect(trust(AUTHORITY)) as client:
            client.sendall(GET)
            return read_response(client).endswith(b"hello")
    except OSError:
        return False


def _now_serves(server: Server) -> str:
    with server.connect(trust(AUTHORITY)) as client:
        return common_name(client)


def test_a_secret_is_swapped_under_load(start: Callable[..., Server], tmp_path: Path) -> None:
    secret = Secret(tmp_path / "secret")
    secret.put(OLD)
    server = _start_with(secret.files, start)
    with server.connect(trust(AUTHORITY)) as kept, _load(server, trust(AUTHORITY)) as seen:
        kept.sendall(GET)
        read_response(kept)
        wait_for(lambda: len(seen) > 20, "the load")
        for pair, name in ((NEW, "new"), (OLD, "old"), (NEW, "new")):
            secret.put(pair)
            wait_for(lambda name=name: _now_serves(server) == name, f"the {name} certificate", seconds=5)
        # A mistake in between: the last good one stays, and nobody notices.
        secret.put(OLD, key=NEW.key_pem)
        wait_for(lambda: "is refused, and the old one stays in use" in server.logged(), "the refusal", seconds=5)
        count = len(seen)
        wait_for(lambda: len(seen) > count + 20, "more load")
        assert seen[-1] == "new"
        kept.sendall(GET)
        assert read_response(kept).endswith(b"hello")
        assert common_name(kept) == "old"
    assert set(seen) == {"old", "new"}
    assert server.logged().count("is refused") == 1
    assert server.logged().count("was renewed") == 3
    assert server.stop() == 0
    assert "Traceback" not in server.logged()


def test_the_files_of_the_self_signed_pair_can_be_replaced(start: Callable[..., Server]) -> None:
    server = start().wait_until_ready()
    NEW.write(server.cert.parent, "apiserver")
    trusting = trust(AUTHORITY)
    wait_for(lambda: _is_served(server, trusting), "the new certificate", seconds=5)


def test_a_reload_reads_the_files_anew_and_a_bad_pair_does_not_end_it(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    files = OLD.write(tmp_path, "tls")
    server = _start_with(files, start)
    files[1].write_bytes(NEW.key_pem)
    wait_for(lambda: server.logged().count("is refused") == 1, "the refusal")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: server.notes().count("start") == 2, "the next worker")
    wait_for(lambda: "stop" in server.notes(), "the end of the first worker")
    assert _now_serves(server) == "old"
    files[0].write_bytes(NEW.certificate_pem)
    wait_for(lambda: _now_serves(server) == "new", "the new certificate", seconds=5)


def test_the_end_is_observed_and_announced(start: Callable[..., Server], tmp_path: Path) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    server = _start_with(
        issue(AUTHORITY, "short", not_after=end).write(tmp_path, "tls"), start, application=WITH_AUTHORITIES
    )
    wait_for(lambda: "the serving certificate expires soon" in server.logged(), "the warning")
    assert f"expires={end:%F}" in server.notes()


def test_a_client_certificate_reaches_the_application(start: Callable[..., Server], tmp_path: Path) -> None:
    server = _start_with(OLD.write(tmp_path, "tls"), start, application=WITH_AUTHORITIES)
    user = AUTHORITY.issue("user")
    client = trust(AUTHORITY)
    client.load_cert_chain(*user.write(tmp_path, "client"))
    none, shown = (_sha256(content) for content in (b"", user.certificate.public_bytes(serialization.Encoding.DER)))
    assert _peer(server, client) == none
    authority = AUTHORITY.certificate.certificate.public_bytes(serialization.Encoding.DER)
    (tmp_path / "fresh").write_bytes(authority)
    (tmp_path / "fresh").rename(tmp_path / "authority")
    wait_for(lambda: _peer(server, client) == shown, "the new context", seconds=5)
    assert _peer(server, trust(AUTHORITY)) == none


def test_in_a_cluster_certificates_are_asked_for_before_an_authority_is_known(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").touch()
    cluster = {
        "METRICS_APISERVER_KUBECONFIG": str(tmp_path / "kubeconfig"),
        "METRICS_APISERVER_PROVIDER": "writable",
    }
    server = start(environ=cluster, application=WITH_AUTHORITIES).wait_until_ready()
    user, client = AUTHORITY.issue("user"), server.trust()
    client.load_cert_chain(*user.write(tmp_path, "client"))
    assert _peer(server, client) == _sha256(user.certificate.public_bytes(serialization.Encoding.DER))


def test_wrong_and_insecure_suites_are_said_at_the_start(start: Callable[..., Server]) -> None:
    server = start(environ={"METRICS_APISERVER_TLS_CIPHER_SUITES": "TLS_X,TLS_RSA_WITH_RC4_128_SHA"})
    assert server.process.wait(20) == 1
    assert [line.split(":")[0] for line in server.logged().splitlines()[1:]] == [
        "  - --tls-cipher-suites=TLS_X",
        "  - --tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA",
    ]
    insecure = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"
    server = start(environ={"METRICS_APISERVER_TLS_CIPHER_SUITES": insecure}).wait_until_ready()
    assert f"--tls-cipher-suites={insecure}: this suite is insecure" in server.logged()


def _is_served(server: Server, context: ssl.SSLContext) -> bool:
    try:
        with server.connect(context):
            return True
    except ssl.SSLError:
        return False


def _peer(server: Server, client: ssl.SSLContext) -> str:
    with server.connect(client) as connection:
        connection.sendall(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n")
        return read_response(connection).split(b"\r\n\r\n")[1].decode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
