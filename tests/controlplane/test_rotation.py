"""New authorities of client certificates while requests come in: an operator's rotation, step by step.

kube-apiserver follows its CA files, and adds what they hold to the ConfigMap that our server follows; what is to go
has to be taken out of the files first, and out of the ConfigMap by hand.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.controlplane import aggregated
from tests.controlplane.certificates import Authority
from tests.controlplane.credentials import write_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.controlplane.requests import Fields, Files, request, request_on
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

# Allowed for whom it is tried by; that there is no such value means: allowed.
READ = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/cart-0/packets-per-second"
ALLOWED, REFUSED = 404, 401
CONFIG_MAP = "configmap/extension-apiserver-authentication"
MASTER = (("X-Remote-User", "bob"), ("X-Remote-Group", "system:masters"))
# For kube-apiserver, which looks at its files at least once a minute; it is told of a change mostly at once.
CLUSTER_SECONDS = 90.0
# From when the ConfigMap says so until our server acts on it.
OUR_SECONDS = 5.0
# A bound, should a test hang: on this many requests of one kind the load ends.
MOST_REQUESTS = 20_000


@dataclass
class Load:
    """Requests of one identity, one after the other, until it is stopped; keeps each status when it changes."""

    server: LiveServer
    certificate: Files
    fields: Fields
    statuses: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    count: int = 0

    def run(self, stopping: threading.Event, *, reconnect: bool) -> None:
        connection = self.server.connect_as(self.certificate)
        try:
            while not stopping.is_set() and self.count < MOST_REQUESTS:
                if reconnect:
                    connection.close()
                    connection = self.server.connect_as(self.certificate)
                status = request_on(connection, READ, self.fields).status
                self.count += 1
                if self.statuses[-1:] != [status]:
                    self.statuses.append(status)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a request that failed
            self.failures.append(repr(error))
        finally:
            connection.close()


@contextlib.contextmanager
def under_load(server: LiveServer, identities: dict[str, tuple[Files, Fields]]) -> Iterator[dict[str, Load]]:
    """Ask as each identity twice: on one connection, and on a new one each time."""
    stopping = threading.Event()
    loads = {
        f"{name}, {how}": Load(server, *identity)
        for name, identity in identities.items()
        for how in ("open connection", "new connections")
    }
    threads = [
        threading.Thread(target=load.run, args=(stopping,), kwargs={"reconnect": name.endswith("new connections")})
        for name, load in loads.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield loads
    finally:
        stopping.set()
        for thread in threads:
            thread.join(60)


@pytest.fixture(name="plane", scope="module")
def _plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of its own: its authorities do not come back."""
    with ControlPlane.start(tmp_path_factory.mktemp("rotated")) as plane:
        yield plane


@pytest.fixture(name="server", scope="module")
def _server(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with aggregated.start(plane, tmp_path_factory.mktemp("rotation")) as server:
        server.wait_until_ready()
        yield server


@dataclass(frozen=True)
class Rotation:
    """One of the two authorities: where kube-apiserver reads it, and who is known by it."""

    key: str
    old: Authority
    new: Authority
    # Of an authority, the certificate by which one is allowed to read, and the header fields for it.
    client: Callable[[Authority], tuple[Files, Fields]]
    file: Path
    # Called when both authorities count.
    prepare: Callable[[], None]


def _client_ca(plane: ControlPlane, folder: Path) -> Rotation:
    new = Authority("new-ca")

    def client(authority: Authority) -> tuple[Files, Fields]:
        name = "old" if authority is plane.ca else "new"
        return authority.issue("alice", organizations=["system:masters"]).write(folder, name), ()

    def prepare() -> None:
        # The admin's certificate is one of those that will not count any more; the server's is not.
        admin = new.issue("admin", organizations=["system:masters"])
        write_kubeconfig(plane.kubeconfig, server=plane.url, ca=plane.ca, client=admin)

    return Rotation("client-ca-file", plane.ca, new, client, plane.ca_file, prepare)


def _front_proxy_ca(plane: ControlPlane, folder: Path) -> Rotation:
    new = Authority("new-front-proxy-ca")

    def client(authority: Authority) -> tuple[Files, Fields]:
        name = "old-proxy" if authority is plane.front_proxy_ca else "new-proxy"
        return authority.issue("front-proxy-client").write(folder, name), MASTER

    return Rotation(
        "requestheader-client-ca-file", plane.front_proxy_ca, new, client, plane.front_proxy_ca_file, lambda: None
    )


def authorities(plane: ControlPlane, key: str) -> str:
    """What the ConfigMap says."""
    found = plane.kubectl("get", CONFIG_MAP, "--namespace=kube-system", "--output=json")
    text: str = json.loads(found.stdout)["data"][key]
    return text


def settled(server: LiveServer, identity: tuple[Files, Fields], status: int) -> float:
    """Wait until an identity is answered so, and say how long it took."""
    begin = time.monotonic()
    certificate, fields = identity
    wait_until(
        lambda: request(server, READ, certificate=certificate, fields=fields).status == status,
        OUR_SECONDS,
        lambda: f"not {status}:\n{server.log()}",
    )
    return time.monotonic() - begin


def progress(loads: dict[str, Load]) -> None:
    """Wait until each of them has an answer to a request that it sends from now on."""
    # The next answer may be to one that is under way.
    wanted = {name: load.count + 2 for name, load in loads.items()}
    wait_until(
        lambda: all(load.count >= wanted[name] or load.failures for name, load in loads.items()),
        30,
        lambda: f"some stand still: {loads}",
    )


@pytest.mark.parametrize(
    ("rotation_of", "steady_of"),
    [
        pytest.param(_front_proxy_ca, _client_ca, id="the front proxy's authority"),
        # The last: the plane's own processes are not known by the new one.
        pytest.param(_client_ca, None, id="the clients' authority"),
    ],
)
def test_rotation_under_load(
    plane: ControlPlane,
    server: LiveServer,
    tmp_path: Path,
    rotation_of: Callable[[ControlPlane, Path], Rotation],
    steady_of: Callable[[ControlPlane, Path], Rotation] | None,
) -> None:
    """Old certificates count until their authority goes, new ones from when theirs comes; nobody else notices."""
    rotation = rotation_of(plane, tmp_path)
    old, new = rotation.client(rotation.old), rotation.client(rotation.new)
    old_pem, new_pem = rotation.old.certificate_pem, rotation.new.certificate_pem
    identities = {"old": old, "new": new}
    if steady_of is not None:
        other = steady_of(plane, tmp_path)
        identities["steady"] = other.client(other.old)
    settled(server, old, ALLOWED)
    with under_load(server, identities) as loads:
        progress(loads)

        rotation.file.write_bytes(old_pem + new_pem)
        wait_until(lambda: new_pem.decode() in authorities(plane, rotation.key), CLUSTER_SECONDS, "the ConfigMap stays")
        came = settled(server, new, ALLOWED)

        rotation.prepare()
        rotation.file.write_bytes(new_pem)
        patch = json.dumps({"data": {rotation.key: new_pem.decode()}})

        def gone() -> bool:
            # Until kube-apiserver has read its file it puts back what it finds missing.
            plane.kubectl("patch", CONFIG_MAP, "--namespace=kube-system", f"--patch={patch}")
            certificate, fields = old
            return request(server, READ, certificate=certificate, fields=fields).status == REFUSED and (
                old_pem.decode() not in authorities(plane, rotation.key)
            )

        wait_until(gone, CLUSTER_SECONDS, "the old authority stays", interval=1)
        progress(loads)
    print(f"in use {came:.2f} s after the ConfigMap had it; {sum(load.count for load in loads.values())} requests")
    assert {name: load.failures for name, load in loads.items() if load.failures} == {}
    for name, load in loads.items():
        if name.startswith("old"):
            # As often as kube-apiserver put the old one back.
            assert load.statuses == [ALLOWED, REFUSED] * (len(load.statuses) // 2), name
        else:
            assert load.statuses == ([ALLOWED] if name.startswith("steady") else [REFUSED, ALLOWED]), name
    assert f"the ConfigMap's {rotation.key} is in use" in server.log()
