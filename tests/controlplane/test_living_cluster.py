"""A cluster that lives: a thousand pods, resources that come and go, an apiserver that is away for a while."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from tests.controlplane import aggregated
from tests.controlplane.account import account_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer, send

SPACE = "living"
GROUP = "living.example.com"
PODS = 1000
SHARDS = 10
API = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{SPACE}"
READ_PODS = f"{API}/pods/*/packets"
# For what the cluster does in its own time: a CRD becomes a resource, a watch is opened again.
CLUSTER_SECONDS = 40.0


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SPACE, "labels": labels},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    }


def definition(plural: str, kind: str) -> dict[str, Any]:
    """Make a CRD."""
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def apply(control_plane: ControlPlane, *documents: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    control_plane.kubectl("apply", "--filename=-", input=text)


@contextlib.contextmanager
def core(control_plane: ControlPlane) -> Iterator[client.CoreV1Api]:
    """Open the client library, for what kubectl is too slow for."""
    api = config.new_client_from_config(config_file=str(control_plane.kubeconfig))
    try:
        yield client.CoreV1Api(api)
    finally:
        api.rest_client.pool_manager.clear()
        api.close()


def create_pods(control_plane: ControlPlane, names: list[str]) -> None:
    """Create pods; their labels say which tenth they belong to."""
    with core(control_plane) as api, ThreadPoolExecutor(4) as pool:
        documents = [pod(name, app="web", shard=str(number % SHARDS)) for number, name in enumerate(names)]
        list(pool.map(lambda document: api.create_namespaced_pod(SPACE, document), documents))


@pytest.fixture(name="space", scope="module")
def _space(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace, which goes with all that is in it, and the CRDs."""
    apply(control_plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    yield SPACE
    control_plane.kubectl(
        "delete", "customresourcedefinitions", f"widgets.{GROUP}", f"pods.{GROUP}", "--ignore-not-found", "--wait=false"
    )
    control_plane.kubectl("delete", "namespace", SPACE, "--wait=false")


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, space: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server, with a thousand pods and a value for each."""
    names = [f"pod-{number}" for number in range(PODS)]
    create_pods(control_plane, names)
    with aggregated.start(control_plane, tmp_path_factory.mktemp("living")) as server:
        server.wait_until_ready()
        with contextlib.closing(server.connect()) as connection:
            for number, name in enumerate(names):
                target = f"/write-metrics/namespaces/{SPACE}/pods/{name}/packets"
                assert send(connection, "POST", target, {}, str(number).encode()).status == 200
        yield server


@contextlib.contextmanager
def without_apiserver(control_plane: ControlPlane) -> Iterator[None]:
    """Stop the apiserver for a while."""
    control_plane.stop_apiserver()
    try:
        yield
    finally:
        control_plane.start_apiserver()


def ask(server: LiveServer, path: str) -> Any:
    """Read, and hold the answer to be a good one."""
    answer = server.ask("GET", path, {})
    assert answer.status == 200, answer
    return answer.json


def values(server: LiveServer, path: str = READ_PODS) -> list[tuple[str, str]]:
    """Read names and values, in the order of the answer."""
    return [(item["describedObject"]["name"], item["value"]) for item in ask(server, path)["items"]]


def our_requests(control_plane: ControlPlane) -> list[dict[str, Any]]:
    """What the apiserver recorded of our server's requests."""
    # The last line may be half written.
    lines = [line for line in control_plane.log("audit").split("\n")[:-1] if "metrics-apiserver/" in line]
    events = [json.loads(line) for line in lines]
    return [event for event in events if event["userAgent"].startswith("metrics-apiserver/")]


def test_a_thousand_pods_are_read_sorted_and_correct_and_without_asking_the_cluster(
    control_plane: ControlPlane, server: LiveServer
) -> None:
    """Only the first read lists and watches; the apiserver's own record says so."""
    expected = [(f"pod-{number}", str(number)) for number in range(PODS)]
    expected.sort()
    asked_before = len(our_requests(control_plane))
    begin = time.monotonic()
    assert values(server) == expected
    print(f"cold: {time.monotonic() - begin:.3f} s")

    def ours() -> list[tuple[str, str]]:
        events = our_requests(control_plane)[asked_before:]
        return [(event["verb"], event["objectRef"]["resource"]) for event in events if "objectRef" in event]

    wait_until(lambda: ("watch", "pods") in ours(), CLUSTER_SECONDS, lambda: f"no watch: {ours()}")
    # A page has 500, and other tests' pods may be there as well; the rest is the watch.
    assert ours().count(("list", "pods")) in (2, 3)
    asked = len(our_requests(control_plane))
    begin = time.monotonic()
    for _ in range(20):
        assert values(server) == expected
    print(f"warm: {(time.monotonic() - begin) / 20:.3f} s")
    assert values(server, f"{READ_PODS}?labelSelector=shard%3D3") == [row for row in expected if row[0].endswith("3")]
    assert values(server, f"{READ_PODS}?labelSelector=app%21%3Dweb") == []
    assert our_requests(control_plane)[asked:] == []


def test_pods_that_come_change_and_go_are_followed(control_plane: ControlPlane, server: LiveServer) -> None:
    """A new pod, a label that changes, and a deleted pod; a value outlives its pod and is not shown."""
    read = f"{READ_PODS}?labelSelector=app%3Dnew"
    assert server.ask("POST", f"/write-metrics/namespaces/{SPACE}/pods/new/packets", {}, b"7").status == 200
    assert values(server, read) == []
    apply(control_plane, pod("new", app="new"))
    wait_until(lambda: values(server, read) == [("new", "7")], CLUSTER_SECONDS, "the new pod does not appear")
    control_plane.kubectl("label", "pod", "new", "app=old", "--overwrite", f"--namespace={SPACE}")
    wait_until(lambda: values(server, read) == [], CLUSTER_SECONDS, "the old label stays")
    assert values(server, f"{READ_PODS}?labelSelector=app%3Dold") == [("new", "7")]
    control_plane.kubectl("delete", "pod", "new", "--force", f"--namespace={SPACE}")
    wait_until(lambda: len(values(server)) == PODS, CLUSTER_SECONDS, "the deleted pod stays")


def test_a_resource_that_is_installed_meanwhile_is_served_and_one_that_goes_is_not(
    control_plane: ControlPlane, server: LiveServer
) -> None:
    """No restart: its metrics are written and read, by name and by selector, until its CRD is deleted."""
    target = f"/write-metrics/namespaces/{SPACE}/widgets.{GROUP}/w1/size"
    read = f"{API}/widgets.{GROUP}"
    assert server.ask("POST", target, {}, b"3").status == 404
    apply(control_plane, definition("widgets", "Widget"), definition("pods", "Pod"))
    try:
        wait_until(lambda: server.ask("POST", target, {}, b"3").status == 200, CLUSTER_SECONDS, "the CRD is not found")
        assert values(server, f"{read}/w1/size") == [("w1", "3")]
        assert values(server, f"{read}/*/size") == []
        described = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": "w1", "namespace": SPACE}}
        apply(control_plane, described)
        wait_until(lambda: values(server, f"{read}/*/size") == [("w1", "3")], CLUSTER_SECONDS, "no widget is seen")
        # The other CRD is called pods, and changes nothing for pods.
        other = f"/write-metrics/namespaces/{SPACE}/pods.{GROUP}/x/packets"
        wait_until(lambda: server.ask("POST", other, {}, b"1").status == 200, CLUSTER_SECONDS, "no other pods")
        items = ask(server, READ_PODS)["items"]
        assert (len(items), items[0]["describedObject"]["apiVersion"]) == (PODS, "/v1")
    finally:
        control_plane.kubectl(
            "delete", "customresourcedefinitions", f"widgets.{GROUP}", f"pods.{GROUP}", "--timeout=60s"
        )
    wait_until(
        lambda: server.ask("GET", f"{read}/*/size", {}).status == 404,
        CLUSTER_SECONDS,
        lambda: f"the deleted resource stays: {server.ask('GET', f'{read}/*/size', {})}\n{server.log()}",
    )
    assert len(values(server)) == PODS


def test_reads_outlive_the_apiserver_and_nothing_is_lost_when_it_is_back(
    control_plane: ControlPlane, server: LiveServer
) -> None:
    """The last state is served, and what changes before the watch is back is seen too."""
    expected = values(server)
    assert len(expected) == PODS
    assert server.ask("POST", f"/write-metrics/namespaces/{SPACE}/pods/after/packets", {}, b"5").status == 200
    with without_apiserver(control_plane):
        wait_until(lambda: "the cache of pods: " in server.log(), CLUSTER_SECONDS, "the server does not notice")
        for _ in range(5):
            assert values(server) == expected
        assert server.ask("GET", "/readyz", {}).status == 200
        # What was not read before cannot be known: the answer says so and does not hang.
        answer = server.ask("GET", f"{API}/services/*/packets", {})
        assert answer.status == 503
        assert answer.json["message"] == "the services of the cluster have not been listed yet"
    apply(control_plane, pod("after"))
    control_plane.kubectl("delete", "pod", "pod-0", "--force", f"--namespace={SPACE}")
    wanted = sorted([*(row for row in expected if row[0] != "pod-0"), ("after", "5")])
    begin = time.monotonic()
    wait_until(lambda: values(server) == wanted, CLUSTER_SECONDS, lambda: f"{len(values(server))}\n{server.log()}")
    print(f"recovered after {time.monotonic() - begin:.1f} s")
    wait_until(lambda: values(server, f"{API}/services/*/packets") == [], CLUSTER_SECONDS, "no services")
    assert server.process.poll() is None


def test_a_server_that_starts_before_the_cluster_waits_for_it(control_plane: ControlPlane, tmp_path: Path) -> None:
    """It is live and says why it is not ready; the same process is ready once the cluster answers."""
    kubeconfig = account_kubeconfig(control_plane, tmp_path)
    with contextlib.ExitStack() as stack:
        stack.enter_context(without_apiserver(control_plane))
        with aggregated.start(control_plane, tmp_path, kubeconfig=kubeconfig) as server:
            for path in ("/readyz?verbose", "/readyz"):
                answer = server.ask("GET", path, {})
                assert answer.status == 500
                assert "[-]rest-mapping failed: reason withheld" in answer.text
                assert "127.0.0.1" not in answer.text
            wait_until(lambda: "Connection refused" in server.log(), 10, "no reason is given")
            assert server.ask("GET", f"{API}/pods/x/packets", {}).status == 503
            # Now the cluster comes up.
            stack.close()
            server.wait_until_ready()
            assert ask(server, f"{API}/pods/*/packets")["items"] == []
