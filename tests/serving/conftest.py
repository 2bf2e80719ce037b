"""A real gunicorn with the real configuration and a small application, and a client that trusts its certificate."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.serving.attacks import Client

PROJECT = Path(__file__).parents[2]

# What serving needs of any application, for the small ones of tests.
BASE = """
import logging, time
from metrics_apiserver.staleness import Following

class Base:
    def start(self): pass
    def stop(self): pass
    def drain(self): pass
    def respond(self, request, *, may_wait): return None
    def client_authorities(self): return ()
    def observe_certificate(self, not_after): pass
    def to_try(self): return ()
    def follow(self, name): return Following(time.monotonic, logging.getLogger("test")).follow(name)
"""

# What the tests ask for; it notes in a file what the hooks called.
APPLICATION = (
    BASE
    + """
import hashlib, json, os, pathlib, sys
from metrics_apiserver.exchange import Response

FOLDER = pathlib.Path(os.environ["TEST_FOLDER"])

class App(Base):
    def note(self, word):
        with (FOLDER / "notes").open("a") as file:
            file.write(f"{word} {os.getpid()}\\n")

    def start(self): self.note("start")
    def stop(self): self.note("stop")
    def drain(self): self.note("drain")

    def respond(self, request, *, may_wait):
        # What serving asks before anything else: on its loop, and then on a thread.
        kind = request.target[1:6]
        if kind == "boom!":
            raise RuntimeError("the secret of the house")
        if kind != ("later" if may_wait else "quick"):
            return None
        asked = [request.target, request.fields, request.certificate is not None]
        body = json.dumps(asked).encode() + b"x" * int(request.target[6:] or 0)
        return Response(200, "application/json", body, (("Audit-Id", "a"),))

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        body = b"hello"
        if path == "/pairs":
            body = json.dumps(environ["metrics_apiserver.header_pairs"]).encode()
        elif path == "/keys":
            body = json.dumps(sorted(environ)).encode()
        elif path == "/body":
            content = environ["wsgi.input"].read()
            body = f"{len(content)} {hashlib.sha256(content).hexdigest()}".encode()
        elif path == "/large":
            body = b"x" * 5_000_000
        elif path == "/boom":
            raise RuntimeError("the secret of the house")
        elif path == "/exit":
            sys.exit(7)
        elif path == "/late":
            start_response("200 OK", [("Content-Length", "10")])
            return self.fail_late()
        elif path == "/held":
            (FOLDER / "held").touch()
            while not (FOLDER / "release").exists():
                time.sleep(0.01)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def fail_late(self):
        yield b"12345"
        raise RuntimeError("the secret of the house")

app = App()
"""
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


class Server:
    """gunicorn in a process of its own."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        application: str = APPLICATION,
        prefix: tuple[str, ...] = (sys.executable,),
    ) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / "served_by_test.py").write_text(application, encoding="utf-8")
        self.log = folder / "log"
        settings = {
            "METRICS_APISERVER_SECURE_PORT": str(self.port),
            "METRICS_APISERVER_CERT_DIR": str(folder / "certificates"),
            "TEST_FOLDER": str(folder),
        }
        # Not inherited: whoever runs the tests may have settings of their own.
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        command = [
            *prefix,
            "-m",
            "gunicorn",
            "-c",
            "python:metrics_apiserver.serving.config",
            "--pythonpath",
            str(folder),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments, "served_by_test:app"],
                cwd=PROJECT,
                env=inherited | settings | dict(environ or {}),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def cert(self) -> Path:
        return self.folder / "certificates" / "apiserver.crt"

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def notes(self) -> list[str]:
        notes = self.folder / "notes"
        return [line.split()[0] for line in notes.read_text().splitlines()] if notes.exists() else []

    def wait_until_ready(self) -> Server:
        def ready() -> bool:
            assert self.process.poll() is None, self.logged()
            try:
                return self.request("/hello").endswith(b"hello")
            except OSError:
                return False

        wait_for(ready, "the start")
        return self

    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.cert))
        # The default of Python 3.13 and newer.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def plain(self, *, seconds: float = 20.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        return (context or self.trust()).wrap_socket(self.plain(), server_hostname="localhost")

    def request(self, path: str) -> bytes:
        return self.exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    def exchange(self, *requests: bytes) -> bytes:
        """Send each in a TLS record of its own, and read to the end."""
        with self.connect() as client:
            for request in requests:
                client.sendall(request)
            return read_all(client)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(40)
        finally:
            self.process.kill()


def read_all(client: Client) -> bytes:
    received = bytearray()
    while chunk := client.recv(1 << 16):
        received += chunk
    return bytes(received)


def read_response(client: socket.socket) -> bytes:
    """Read one response with a Content-Length; what follows stays unread only if it has not arrived."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(1 << 16)
        assert chunk, f"the connection ended after {received!r}"
        received += chunk
    head, body = received.split(b"\r\n\r\n", 1)
    length = int(headers(received)["content-length"])
    while len(body) < length:
        body += client.recv(1 << 16)
    return head + b"\r\n\r\n" + body


def headers(response: bytes) -> dict[str, str]:
    head = response.split(b"\r\n\r\n", 1)[0].decode("latin-1")
    fields = (line.split(": ", 1) for line in head.split("\r\n")[1:])
    return {name.lower(): value for name, value in fields}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    try:
        yield started.wait_until_ready()
    finally:
        started.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers = []

    def start(*arguments: str, **options: object) -> Server:
        servers.append(Server(tmp_path, *arguments, **options))
        return servers[-1]

    yield start
    for each in servers:
        each.stop()
