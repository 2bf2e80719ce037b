"""Our server as users start it: the command, in a process of its own, on a free port of loopback."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path

from tests.conformance.recorded import Answer
from tests.controlplane import leash
from tests.controlplane.ports import free_ports
from tests.controlplane.waiting import wait_until

__all__ = ["COMMAND", "LiveServer"]

COMMAND = Path(sys.executable).parent / "metrics-apiserver"
START_SECONDS = 30.0
STOP_SECONDS = 40.0


class LiveServer:
    """A started server; a context manager. `ask` is what the recorded cases are replayed with.

    `certificate` has the files of the client certificate that every connection shows, and its key; `stderr` is a
    descriptor for the log, which otherwise is in a file.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        command: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
        certificate: tuple[Path, Path] | None = None,
        stderr: int | None = None,
    ):
        (self.port,) = free_ports(1)
        self.certificate = certificate
        self.folder = folder
        self.log_file = folder / "server.log"
        certificates = folder / "certificates"
        self.ca_file = certificates / "apiserver.crt"
        arguments = [*command] or [str(COMMAND), "serve", f"--secure-port={self.port}", f"--cert-dir={certificates}"]
        own = {} if not command else {"SECURE_PORT": str(self.port), "CERT_DIR": str(certificates)}
        variables = {f"METRICS_APISERVER_{name}": value for name, value in own.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("METRICS_APISERVER_")}
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, leash.__file__, str(os.getpid()), *arguments, *flags],
                cwd=folder,
                env={**clean, **variables, **(environ or {})},
                stdout=log,
                stderr=subprocess.STDOUT if stderr is None else stderr,
            )

    def __enter__(self) -> LiveServer:
        try:
            self.wait_until_live()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def wait_until_live(self) -> None:
        """Wait until `/livez` answers; raise with the log if the process ends before."""

        def live() -> bool:
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log()}"
            try:
                return self.ask("GET", "/livez", {}).status == 200
            except (OSError, http.client.HTTPException):
                return False

        wait_until(live, START_SECONDS, lambda: f"the server is not live:\n{self.log()}")

    def wait_until_ready(self) -> None:
        """Wait until `/readyz` passes."""
        wait_until(
            lambda: self.ask("GET", "/readyz", {}).status == 200,
            START_SECONDS,
            lambda: f"not ready: {self.ask('GET', '/debug/status', {}).text}\n{self.log()}",
        )

    def connect(self) -> http.client.HTTPSConnection:
        """Open a connection that verifies the server by its own certificate file, and shows ours."""
        return self.connect_as(self.certificate)

    def connect_as(self, certificate: tuple[Path, Path] | None) -> http.client.HTTPSConnection:
        """Open one that shows another client certificate, or none."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=30)

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """Send one request on a connection of its own; the path goes out as it is."""
        connection = self.connect()
        try:
            return send(connection, method, path, headers, body)
        finally:
            connection.close()

    def stop(self) -> None:
        """End it as Kubernetes does, and hold it to a clean end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code == 0, f"the server ended with {code}:\n{self.log()}"
        assert "Traceback" not in self.log()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def send(
    connection: http.client.HTTPSConnection, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> Answer:
    """Send one request on an open connection."""
    connection.request(method, path, body=body or None, headers=headers)
    response = connection.getresponse()
    return Answer(response.status, response.headers["Content-Type"], response.read())
