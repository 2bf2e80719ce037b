"""Who asks much of a real server holds up nobody: probes and discovery are answered meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import yaml

from tests.auth.conftest import Reviewing, write_kubeconfig
from tests.auth.making import Answer
from tests.conformance.recorded import CLUSTER_YAML
from tests.live.server import LiveServer
from tests.serving.attacks import ATTACKS, Attack, Target, under_attack
from tests.serving.raw_tls import RecordClient

SERIES = 99_000
PROBES = 20
# As long as the clients ask again a few times.
SECONDS = 4.0
# The aggregator gives up after five seconds, and a kubelet after one, unless it is told otherwise. On a machine that
# does something else too, this is far from either; before, these attacks took six seconds and more.
MOST_SECONDS = 2.5
NAMED = {attack.name: attack for attack in ATTACKS}
ASKING = [attack for attack in ATTACKS if attack.requests is not None]


def longest(server: LiveServer, *paths: str) -> float:
    """Return the longest that any of these took, each on a connection of its own, in seconds."""
    taken: list[float] = []
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or len(taken) < PROBES:
        for path in paths:
            begin = time.monotonic()
            assert server.ask("GET", path, {"Connection": "close"}).status == 200
            taken.append(time.monotonic() - begin)
    return max(taken)


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with very many series of one metric."""
    folder = tmp_path_factory.mktemp("attacked")
    values = [{"metric": "many", "value": "1", "labels": {"number": str(number)}} for number in range(SERIES)]
    config = folder / "config.yaml"
    config.write_text(yaml.dump({"providers": [{"name": "values", "kind": "writable", "options": {"values": values}}]}))
    with LiveServer(folder, f"--config={config}", f"--objects={CLUSTER_YAML}") as server:
        yield server


@pytest.mark.parametrize("attack", [pytest.param(each, id=each.name) for each in ASKING])
def test_who_asks_much_holds_nobody_up(server: LiveServer, attack: Attack) -> None:
    target = Target(server.port, str(server.ca_file), "/version")
    with under_attack(target, attack, again=True):
        seconds = longest(server, "/livez", "/readyz", "/apis")
    print(f"{attack.name}: longest probe {seconds * 1000:.0f} ms")
    assert seconds < MOST_SECONDS


def _tiny_chunks(client: RecordClient, target: Target) -> bytes:
    """A body of 20,000 chunks of a byte, in records of a usual size."""
    body = target.write("Transfer-Encoding: chunked") + b"1\r\na\r\n" * 20_000
    return b"".join(client.record(body[start : start + 16_384]) for start in range(0, len(body), 16_384))


def _tiny_records_of_a_body(client: RecordClient, target: Target) -> bytes:
    return client.record(target.write("Content-Length: 60000")) + _tiny_records(client, target)


def _tiny_records(client: RecordClient, _target: Target) -> bytes:
    return b"".join(client.record(b"a") for _ in range(2000))


@pytest.mark.parametrize(
    ("count", "make"),
    [
        pytest.param(100, _tiny_chunks, id="bodies in tiny chunks"),
        pytest.param(100, _tiny_records_of_a_body, id="bodies in tiny records"),
        pytest.param(300, _tiny_records, id="heads in tiny records"),
    ],
)
def test_who_sends_tiny_pieces_on_many_idle_connections_holds_nobody_up(
    server: LiveServer, count: int, make: Callable[[RecordClient, Target], bytes]
) -> None:
    """All of them at once, each as much as its socket takes."""
    target = Target(server.port, str(server.ca_file), "/livez")
    with ExitStack() as opened:
        clients = [opened.enter_context(closing(target.records())) for _ in range(count)]
        parts = [make(client, target) for client in clients]
        for client, part in zip(clients, parts, strict=True):
            client.settimeout(0)
            with suppress(OSError):
                client.send_records(part)
        seconds = longest(server, "/livez")
    print(f"{count} connections: longest probe {seconds * 1000:.0f} ms")
    assert seconds < MOST_SECONDS


def test_readers_of_a_list_that_hangs_hold_nobody_up(tmp_path: Path) -> None:
    """Three hundred at once: a few wait for the cluster, and the others are told so."""
    cluster, free = Reviewing(), threading.Event()
    cluster.decide = lambda _: Answer(allowed=True)
    cluster.answer("/api/v1/nodes", lambda _: ((free.wait(30) and 200) or 500, {}))
    flag = f"--kubeconfig={write_kubeconfig(cluster, tmp_path)}"
    fields = ("Authorization: Bearer good",)
    path = "/apis/custom.metrics.k8s.io/v1beta2/nodes/*/heat?labelSelector=a"
    try:
        with LiveServer(tmp_path, flag, "--provider=writable") as server, ExitStack() as opened:
            server.wait_until_ready()
            target = Target(server.port, str(server.ca_file), path, fields)
            readers = [opened.enter_context(target.connect()) for _ in range(300)]
            for reader in readers:
                reader.sendall(target.request())
            token = {"Authorization": "Bearer good", "Connection": "close"}
            taken = []
            for _ in range(PROBES):
                for asked, headers in (("/livez", {"Connection": "close"}), ("/apis", token)):
                    begin = time.monotonic()
                    assert server.ask("GET", asked, headers).status == 200
                    taken.append(time.monotonic() - begin)
            print(f"300 waiting readers: longest of {len(taken)} probes {max(taken) * 1000:.0f} ms")
            assert max(taken) < MOST_SECONDS
            free.set()
    finally:
        free.set()
        cluster.close()
