"""The control plane: three processes that make up a Kubernetes API without nodes."""

import contextlib
import http.client
import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.controlplane.build import Binaries, ensure_binaries
from tests.controlplane.certificates import Authority
from tests.controlplane.commands import (
    AUDIT_POLICY,
    Layout,
    apiserver_command,
    controller_manager_command,
    etcd_command,
)
from tests.controlplane.credentials import Credentials, write_kubeconfig
from tests.controlplane.ports import free_ports
from tests.controlplane.process import Process, ProcessError
from tests.controlplane.waiting import wait_until

__all__ = ["ControlPlane"]

READY_TIMEOUT = 60.0
# A namespace and a service account: the first is made by the apiserver after it is ready,
# the second by the controller manager when it starts the controller of that name.
DEFAULT_NAMESPACE = "/api/v1/namespaces/default"
LAST_CONTROLLER = "/api/v1/namespaces/kube-system/serviceaccounts/replicaset-controller"


class ControlPlane:
    """A running control plane; `ControlPlane.start` makes one, `stop` or the end of a `with` block ends it."""

    def __init__(self, layout: Layout, binaries: Binaries, credentials: Credentials) -> None:
        self.directory = layout.directory
        self.url = layout.url
        self.kubeconfig = layout.directory / "admin.kubeconfig"
        self.ca_file = layout.certificates / "ca.crt"
        self.front_proxy_ca_file = layout.certificates / "front-proxy-ca.crt"
        self.binaries = binaries
        self._credentials = credentials
        self._etcd_url = layout.etcd_url
        self._etcd = Process("etcd", etcd_command(binaries, layout), directory=self.directory)
        self._apiserver = Process("kube-apiserver", apiserver_command(binaries, layout), directory=self.directory)
        self._controller_manager = Process(
            "kube-controller-manager", controller_manager_command(binaries, layout), directory=self.directory
        )
        self._processes = (self._etcd, self._apiserver, self._controller_manager)

    @classmethod
    def start(cls, directory: Path, *, binaries: Binaries | None = None) -> Self:
        """Start one with new certificates and no objects, and return when it is ready; the folder becomes 0700.

        Builds the programs if there are none. The calling thread has to live as long as the plane (see Process).
        """
        directory = directory.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        binaries = binaries or ensure_binaries()
        etcd_port, etcd_peer_port, apiserver_port = free_ports(3)
        layout = Layout(directory, etcd_port, etcd_peer_port, apiserver_port)
        credentials = Credentials.create(layout.certificates)
        plane = cls(layout, binaries, credentials)
        layout.audit_policy.write_text(AUDIT_POLICY)
        write_kubeconfig(plane.kubeconfig, server=plane.url, ca=credentials.ca, client=credentials.admin)
        write_kubeconfig(
            layout.controller_manager_kubeconfig,
            server=plane.url,
            ca=credentials.ca,
            client=credentials.controller_manager,
        )
        with contextlib.ExitStack() as undo:
            undo.callback(plane.stop)
            plane._start_processes()
            undo.pop_all()
        return plane

    @property
    def ca(self) -> Authority:
        """The authority of client certificates and of the apiserver's; it can issue more."""
        return self._credentials.ca

    @property
    def front_proxy_ca(self) -> Authority:
        """The authority of the aggregator's client certificate."""
        return self._credentials.front_proxy_ca

    @property
    def pids(self) -> dict[str, int]:
        """The ids of the running processes by name."""
        return {process.name: process.pid for process in self._processes if process.pid is not None}

    def check(self) -> None:
        """Raise ProcessError if one of the processes ended by itself."""
        for process in self._processes:
            process.check()

    def stop(self) -> None:
        """Stop all processes, the last started first; files stay. To stop what is stopped does nothing."""
        with contextlib.ExitStack() as stack:
            for process in self._processes:
                stack.callback(process.stop)

    def stop_apiserver(self) -> None:
        """Stop kube-apiserver alone."""
        self._apiserver.stop()

    def start_apiserver(self) -> None:
        """Start kube-apiserver again on its old port and data, and return when it is ready."""
        self._apiserver.start()
        self._wait_for(self._apiserver, lambda: self._answers("/readyz") and self._answers(DEFAULT_NAMESPACE))

    def restart_apiserver(self) -> None:
        """Stop and start kube-apiserver; connections break, objects stay."""
        self.stop_apiserver()
        self.start_apiserver()

    def kubectl(
        self,
        *args: str | Path,
        input: str | None = None,  # noqa: A002 - the name that subprocess.run has for it
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the admin. With `check`, a failure raises CalledProcessError with what kubectl said."""
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        result = subprocess.run(
            [
                self.binaries.kubectl,
                f"--kubeconfig={self.kubeconfig}",
                f"--cache-dir={self.directory / 'kubectl-cache'}",
                *args,
            ],
            # Without input kubectl gets an empty one, never the terminal's.
            input=input or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            # The preferences of whoever runs the tests are not to change what they see.
            env=environment | {"KUBERC": "off"},
        )
        if check and result.returncode != 0:
            error = subprocess.CalledProcessError(result.returncode, result.args, result.stdout, result.stderr)
            error.add_note(result.stderr)
            raise error
        return result

    def log(self, name: str) -> str:
        """Return a log by the name of its process, or "audit": one JSON object for each answered request."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start_processes(self) -> None:
        self._etcd.start()
        self._wait_for(self._etcd, self._etcd_answers)
        # Started together: the controller manager waits for the apiserver by itself.
        self.start_apiserver()
        self._controller_manager.start()
        self._wait_for(self._controller_manager, lambda: self._answers(LAST_CONTROLLER))

    def _wait_for(self, process: Process, ready: Callable[[], bool]) -> None:
        def alive_and_ready() -> bool:
            process.check()
            return ready()

        try:
            wait_until(alive_and_ready, READY_TIMEOUT, f"{process.name} is not ready")
        except TimeoutError as e:
            raise ProcessError(f"{e}. {process.tail()}") from e

    def _etcd_answers(self) -> bool:
        connection = http.client.HTTPConnection(urlsplit(self._etcd_url).netloc, timeout=5)
        with contextlib.closing(connection):
            return _status(connection, "/readyz") == http.HTTPStatus.OK

    def _answers(self, path: str) -> bool:
        """Tell whether the apiserver gives the admin a 200 for the path."""
        context = ssl.create_default_context(cafile=self.ca_file)
        certificates = self._credentials.directory
        context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
        connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, timeout=5, context=context)
        with contextlib.closing(connection):
            return _status(connection, path) == http.HTTPStatus.OK


def _status(connection: http.client.HTTPConnection, path: str) -> int | None:
    """Ask for a path and return the status, or None while nobody answers."""
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return None
    return response.status
