"""Two real servers: the first forwards to the second, which also dies, hangs and comes back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import recorded
from tests.conformance.recorded import CLUSTER_YAML, Answer
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
QUEUE = f"{EXTERNAL}/namespaces/default/my-external-metric"


def config(folder: Path, behind: LiveServer, *more: dict[str, Any]) -> str:
    """Write the configuration of a server that forwards to another, and asks `more` after it."""
    options = {"url": f"https://localhost:{behind.port}", "caFile": str(behind.ca_file), "listInterval": "1s"}
    file = folder / "config.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"providers": [{"name": "behind", "kind": "proxy", "options": options}, *more]}))
    return f"--config={file}"


@pytest.fixture(name="behind", scope="module")
def _behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The second server, with the values of the record."""
    folder = tmp_path_factory.mktemp("behind")
    with LiveServer(folder, f"--objects={CLUSTER_YAML}", "--provider=writable") as server:
        recorded.write_all(server.ask)
        recorded.wait_until_listed(server.ask)
        yield server


@pytest.fixture(name="front", scope="module")
def _front(tmp_path_factory: pytest.TempPathFactory, behind: LiveServer) -> Iterator[LiveServer]:
    """The first server, which has nothing of its own."""
    folder = tmp_path_factory.mktemp("front")
    with LiveServer(folder, f"--objects={CLUSTER_YAML}", config(folder, behind)) as server:
        recorded.wait_until_listed(server.ask)
        yield server


@pytest.mark.parametrize("case", [each for each in recorded.cases() if each.values[0]["path"].startswith("/apis")])
def test_recorded_answer_comes_through_the_proxy(case: dict[str, Any], front: LiveServer) -> None:
    """Reads, not-founds, selectors, root scope and discovery are those of a server that has the values itself."""
    recorded.check(case, front.ask(case["method"], case["path"], case["headers"]))


def read(server: LiveServer, path: str) -> Answer:
    return server.ask("GET", path, {})


def names(server: LiveServer, path: str) -> set[str]:
    return {entry["name"] for entry in read(server, path).json["resources"]}


def test_listings_and_values_of_two_providers_are_merged(tmp_path: Path, behind: LiveServer) -> None:
    """What the other server does not have, the next provider answers."""
    values = [{"metric": "own", "value": 7}, {"resource": "pods", "namespace": "shop", "name": "cart-0", **OWN}]
    own = {"name": "own", "kind": "writable", "options": {"values": values}}
    with LiveServer(tmp_path, f"--objects={CLUSTER_YAML}", config(tmp_path, behind, own)) as server:
        recorded.wait_until_listed(server.ask)
        wait_until(lambda: {"own", "my-external-metric"} <= names(server, EXTERNAL), 10, "the listings were not merged")
        custom = "/apis/custom.metrics.k8s.io/v1beta2"
        assert {"pods/own", "pods/packets-per-second"} <= names(server, custom)
        assert read(server, f"{EXTERNAL}/namespaces/shop/own").json["items"][0]["value"] == "7"
        by_name = read(server, f"{custom}/namespaces/shop/pods/cart-0/own")
        by_selector = read(server, f"{custom}/namespaces/shop/pods/*/own")
        assert [answer.json["items"][0]["value"] for answer in (by_name, by_selector)] == ["8", "8"]


OWN = {"metric": "own", "value": 8}


def test_shadow_serves_the_first_and_counts_where_the_second_differs(tmp_path: Path, behind: LiveServer) -> None:
    """The other server serves, our own provider is compared with it: a migration before it is made."""
    first = {"url": f"https://localhost:{behind.port}", "caFile": str(behind.ca_file)}
    second = {"values": [{"metric": "my-external-metric", "value": 43, "labels": {"foo": "bar"}}]}
    parts = {"first": {"kind": "proxy", "options": first}, "second": {"kind": "writable", "options": second}}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"providers": [{"name": "migration", "kind": "shadow", "options": parts}]}))

    def count(result: str) -> float:
        name = f'metrics_apiserver_shadow_comparisons_total{{provider="migration",result="{result}"}}'
        (line,) = [line for line in read(server, "/metrics").body.decode().splitlines() if line.startswith(name)]
        return float(line.split()[-1])

    with LiveServer(tmp_path, f"--objects={CLUSTER_YAML}", f"--config={file}") as server:
        assert [item["value"] for item in read(server, QUEUE).json["items"]] == ["42", "43"]
        wait_until(lambda: count("value") == 1, 10, "the difference was not counted")
        read(server, QUEUE.replace("my-", "other-"))
        wait_until(lambda: count("same") == 1, 10, "the agreement was not counted")
        difference = "shadow migration: my-external-metric in default: {foo=bar}: first 42, second 43"
        assert difference in server.log()


def processes(server: LiveServer) -> list[int]:
    """The processes of a server that the test started: the master and its workers."""
    master = server.process.pid
    children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii")
    return [master, *map(int, children.split())]


@contextmanager
def stopped(server: LiveServer) -> Iterator[None]:
    """Have a server hang: its kernel still accepts connections, and nobody answers."""
    found = processes(server)
    for each in found:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in found:
            os.kill(each, signal.SIGCONT)


def test_server_that_hangs_is_named_and_comes_back(front: LiveServer, behind: LiveServer) -> None:
    """504 while it is stopped; what was listed stays; then its values again."""
    assert read(front, QUEUE).status == 200
    with stopped(behind):
        answer = read(front, QUEUE)
        assert answer.status == 504
        assert "behind" in answer.json["message"]
        assert "my-external-metric" in names(front, EXTERNAL)
    # A breaker may have opened: it tries again by itself.
    wait_until(lambda: read(front, QUEUE).status == 200, 30, "it did not come back")


def test_server_that_dies_is_named_and_comes_back(tmp_path: Path) -> None:
    """503 while it is away; then the values of the one that takes its place, and its new certificate."""
    for name in ("behind", "front"):
        (tmp_path / name).mkdir()
    flags = (f"--objects={CLUSTER_YAML}", "--provider=writable")
    behind = LiveServer(tmp_path / "behind", *flags)
    try:
        behind.wait_until_live()
        with LiveServer(tmp_path / "front", f"--objects={CLUSTER_YAML}", config(tmp_path, behind)) as front:
            wait_until(lambda: "my-external-metric" in names(front, EXTERNAL), 10, "it was not listed")
            assert read(front, QUEUE).status == 200
            kill(behind)
            wait_until(lambda: read(front, QUEUE).status == 503, 10, lambda: str(read(front, QUEUE)))
            assert "behind" in read(front, QUEUE).json["message"]
            assert "my-external-metric" in names(front, EXTERNAL)
            for file in behind.ca_file.parent.iterdir():
                file.unlink()  # so that its successor makes itself another
            # The last flag counts.
            behind = LiveServer(tmp_path / "behind", *flags, f"--secure-port={behind.port}")
            wait_until(lambda: read(front, QUEUE).status == 200, 40, lambda: f"{read(front, QUEUE)}\n{behind.log()}")
    finally:
        kill(behind)


def kill(server: LiveServer) -> None:
    """End a server's processes at once, the workers before their master can replace them."""
    found = processes(server)
    os.kill(found[0], signal.SIGSTOP)
    for each in reversed(found):
        os.kill(each, signal.SIGKILL)
    server.process.wait()
