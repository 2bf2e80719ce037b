"""The same targets over TLS: a real server answers each of them as the watched one in this process does.

`JUDGED_REQUESTS=100000` sends so many, of as many identities as there are.
"""

from __future__ import annotations

import http.client
import os
import random
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from metrics_apiserver.server import MetricsServer
from tests.auth.conftest import Reviewing, wait_until_ready, write_kubeconfig
from tests.auth.making import der
from tests.auth.targets import IDENTITIES, METHODS, decide, request_of, target
from tests.auth.test_targets import Watched
from tests.controlplane.certificates import Certificate
from tests.live.server import LiveServer

COUNT = int(os.environ.get("JUDGED_REQUESTS", "3000"))


class Sender:
    """Sends raw requests as one identity, on a connection that is opened again when the server ends it."""

    def __init__(self, server: LiveServer, folder: Path, certificate: Certificate | None) -> None:
        self._context = ssl.create_default_context(cafile=server.ca_file)
        if certificate is not None:
            files = folder / f"{id(self)}.crt", folder / f"{id(self)}.key"
            for file, content in zip(files, (certificate.certificate_pem, certificate.key_pem), strict=True):
                file.write_bytes(content)
            self._context.load_cert_chain(*files)
        self._port = server.port
        self._connection: http.client.HTTPSConnection | None = None

    def send(self, received: bytes, method: str) -> tuple[int, str]:
        """Return the status and the content type of the answer."""
        if self._connection is None:
            self._connection = http.client.HTTPSConnection("localhost", self._port, context=self._context, timeout=20)
            self._connection.connect()
        self._connection.sock.sendall(received)
        response = http.client.HTTPResponse(self._connection.sock, method=method)
        response.begin()
        response.read()
        if response.will_close:
            self.close()
        return response.status, response.headers.get("Content-Type", "")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@pytest.fixture(name="live")
def _live(reviewing: Reviewing, tmp_path: Path) -> Iterator[LiveServer]:
    reviewing.decide = decide
    folder = tmp_path / "live"
    folder.mkdir()
    with LiveServer(folder, f"--kubeconfig={write_kubeconfig(reviewing, folder)}", "--provider=writable") as server:
        server.wait_until_ready()
        yield server


def test_a_real_server_answers_each_target_as_the_watched_one(
    live: LiveServer,
    cluster_server: MetricsServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    wait_until_ready(cluster_server)
    watched = Watched(cluster_server, monkeypatch)
    source = random.Random(COUNT)
    with ExitStack() as opened:
        senders = {}
        for identity, (_, certificate) in IDENTITIES.items():
            senders[identity] = Sender(live, tmp_path, certificate)
            opened.callback(senders[identity].close)
        for _ in range(COUNT // len(IDENTITIES)):
            method, raw = source.choice(METHODS), target(source)
            for identity, (fields, certificate) in IDENTITIES.items():
                received = request_of(method, raw, fields)
                status, content_type = senders[identity].send(received, method)
                seen = watched.send(received, der(certificate) if certificate else None)
                told = f"{method} {raw} as {identity}: {status}, {seen}"
                assert status == (seen.status or 400), told
                assert "html" not in content_type, told
                assert not seen.run or [info.path for info in seen.judged] == seen.run, told
