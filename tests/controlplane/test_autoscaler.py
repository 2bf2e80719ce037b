"""The main job: the real autoscaler scales a Deployment on metrics that came through our server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.config import load_client
from tests.controlplane import aggregated
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
CUSTOM_METRICS = {"pods/of-pods": "Namespaced", "nodes/of-nodes": "Cluster"}
EXTERNAL_METRICS = {"of-nothing": "Namespaced", "my-external-metric": "Namespaced"}
SCALE_SECONDS = 60.0
SHOP = "autoscaled"
LABELS = {"app": "web"}
WORKLOAD: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}},
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": SHOP},
        "spec": {"selector": LABELS, "ports": [{"port": 80}]},
    },
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": SHOP},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "web"}]}},
        },
    },
]
UNLIMITED = {
    "stabilizationWindowSeconds": 0,
    "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}],
}
AUTOSCALER: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": SHOP},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 8,
        # At once, and as far as the values say: by default at most four pods are added in 15 s.
        "behavior": dict.fromkeys(("scaleUp", "scaleDown"), UNLIMITED),
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "packets-per-second"},
                    "target": {"type": "AverageValue", "averageValue": "10"},
                },
            },
            {
                "type": "Object",
                "object": {
                    "metric": {"name": "requests-per-second"},
                    "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"},
                    "target": {"type": "AverageValue", "averageValue": "100"},
                },
            },
            {
                "type": "External",
                "external": {
                    "metric": {"name": "queue-depth", "selector": {"matchLabels": {"queue": "orders"}}},
                    "target": {"type": "AverageValue", "averageValue": "10"},
                },
            },
        ],
    },
}


def write(server: LiveServer, target: str, value: Any) -> None:
    answer = server.ask("POST", f"/write-metrics/{target}", {}, json.dumps(value).encode())
    assert answer.status == 200, answer


@pytest.fixture(name="control_plane", scope="module", params=["newest", "previous"])
def _control_plane(
    request: pytest.FixtureRequest, control_plane: ControlPlane, previous_control_plane: ControlPlane
) -> ControlPlane:
    """The main job is done on either release of Kubernetes."""
    return {"newest": control_plane, "previous": previous_control_plane}[request.param]


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server in cluster mode, registered, and Available by its certificate."""
    with aggregated.start(control_plane, tmp_path_factory.mktemp("autoscaler")) as server:
        server.wait_until_ready()
        # Before the cluster asks for the first time; later on it asks once a minute.
        for target in ("namespaces/default/pods/x/of-pods", "nodes/x/of-nodes", "external/namespaces/*/of-nothing"):
            write(server, target, 1)
        external = "/apis/external.metrics.k8s.io/v1beta1"
        wait_until(lambda: b"of-nothing" in server.ask("GET", external, {}).body, 10, "the writes are not listed")
        with aggregated.registered(control_plane, server):
            yield server


def get(control_plane: ControlPlane, *what: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(control_plane.kubectl("get", *what, "--output=json").stdout)
    return document


def test_release_is_the_one_meant(control_plane: ControlPlane, request: pytest.FixtureRequest) -> None:
    """No test of this module runs twice on the same release by mistake."""
    version = json.loads(control_plane.kubectl("get", "--raw", "/version").stdout)["gitVersion"]
    assert version == {"newest": "v1.36.3", "previous": "v1.35.4"}[request.node.callspec.params["control_plane"]]


def test_api_services_are_available_by_their_certificate(control_plane: ControlPlane, server: LiveServer) -> None:
    """The aggregator verifies `SERVICE.NAMESPACE.svc` by the caBundle; nothing is skipped."""
    for name in aggregated.API_SERVICES:
        service = get(control_plane, "apiservice", name)
        assert service["spec"]["caBundle"]
        assert not service["spec"].get("insecureSkipTLSVerify")
        conditions = {row["type"]: row["status"] for row in service["status"]["conditions"]}
        assert conditions["Available"] == "True"


def test_kubectl_sees_every_metric_and_prints_no_warning(control_plane: ControlPlane, server: LiveServer) -> None:
    """Aggregated discovery as the cluster merges it, the legacy lists, and what kubectl makes of them."""

    def shown(group: str, version: str) -> dict[str, str]:
        """The metrics that the cluster's own merged discovery has of a version, with their scope."""
        for entry in _aggregated_discovery(control_plane)["items"]:
            for row in entry["versions"]:
                if (entry["metadata"]["name"], row["version"]) == (group, version):
                    assert row["freshness"] == "Current"
                    return dict(_metrics(row["resources"]))
        return {}

    for group, version, _ in aggregated.API_SERVICES.values():
        external = group.startswith("external")
        expected = EXTERNAL_METRICS if external else CUSTOM_METRICS
        wait_until(
            lambda group=group, version=version, expected=expected: expected.items() <= shown(group, version).items(),
            90,
            lambda group=group, version=version: f"the cluster's discovery shows {shown(group, version)}",
            interval=0.5,
        )
        legacy = json.loads(control_plane.kubectl("get", "--raw", f"/apis/{group}/{version}").stdout)
        names = {resource["name"]: resource["namespaced"] for resource in legacy["resources"]}
        assert {name: scope == "Namespaced" for name, scope in expected.items()}.items() <= names.items()

    listed = control_plane.kubectl("api-resources")
    assert listed.stderr == ""
    assert "custom.metrics.k8s.io/v1beta2" in listed.stdout
    assert "of-nothing" in listed.stdout
    versions = control_plane.kubectl("api-versions")
    assert versions.stderr == ""
    assert {"custom.metrics.k8s.io/v1beta1", "custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1"} <= set(
        versions.stdout.split()
    )


def _metrics(resources: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for resource in resources:
        if "responseKind" in resource:
            yield resource["resource"], resource["scope"]
        for subresource in resource.get("subresources", []):
            yield f"{resource['resource']}/{subresource['subresource']}", resource["scope"]


def _aggregated_discovery(control_plane: ControlPlane) -> dict[str, Any]:
    client = ClusterClient(load_client(str(control_plane.kubeconfig)))
    try:
        media_type, document = client.get_json("/apis", accept=AGGREGATED)
        assert "APIGroupDiscoveryList" in media_type
        return document
    finally:
        client.close()


def test_namespace_is_created_and_deleted_meanwhile(control_plane: ControlPlane, server: LiveServer) -> None:
    """A group that cannot be discovered would keep every namespace of the cluster from being deleted."""
    control_plane.kubectl("create", "namespace", "short-lived")
    control_plane.kubectl("create", "configmap", "content", "--namespace=short-lived", "--from-literal=a=b")
    control_plane.kubectl("delete", "namespace", "short-lived", "--timeout=60s", timeout=90)
    assert control_plane.kubectl("get", "namespace", "short-lived", check=False).returncode != 0


@pytest.fixture(name="autoscaled")
def _autoscaled(control_plane: ControlPlane, server: LiveServer) -> Iterator[Callable[[], dict[str, Any]]]:
    """A Deployment of one replica and its autoscaler, with values that hold it there; gives the autoscaler."""
    control_plane.kubectl("apply", "--filename=-", input=_list(*WORKLOAD))
    wait_until(lambda: len(_pods(control_plane)) == 1, 30, "the Deployment has no pod")
    write(server, f"namespaces/{SHOP}/services/web/requests-per-second", "100")
    write(server, f"external/namespaces/{SHOP}/queue-depth?labels=queue=orders", "10")
    # Of no series that the autoscaler selects: must not count.
    write(server, f"external/namespaces/{SHOP}/queue-depth?labels=queue=mail", "1000")
    for pod in _pods(control_plane):
        write(server, f"namespaces/{SHOP}/pods/{pod}/packets-per-second", "10")
    control_plane.kubectl("apply", "--filename=-", input=_list(AUTOSCALER))
    yield lambda: get(control_plane, "horizontalpodautoscaler", "web", f"--namespace={SHOP}")
    control_plane.kubectl("delete", "namespace", SHOP, "--timeout=60s", timeout=90)


def _list(*items: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _pods(control_plane: ControlPlane) -> list[str]:
    """The pods that are not going away."""
    items = get(control_plane, "pods", f"--namespace={SHOP}")["items"]
    return [item["metadata"]["name"] for item in items if "deletionTimestamp" not in item["metadata"]]


def _conditions(autoscaler: dict[str, Any]) -> dict[str, str]:
    return {row["type"]: row["status"] for row in autoscaler.get("status", {}).get("conditions", [])}


def _failures(control_plane: ControlPlane) -> list[tuple[str, str, int]]:
    """The autoscaler's complaints about metrics, with how often each was made."""
    return sorted(
        (event["reason"], event["message"], event.get("count") or 1)
        for event in get(control_plane, "events", f"--namespace={SHOP}")["items"]
        if event["reason"].startswith("FailedGet") or event["reason"].startswith("FailedComputeMetrics")
    )


def test_autoscaler_follows_the_written_values(
    control_plane: ControlPlane, server: LiveServer, autoscaled: Callable[[], dict[str, Any]]
) -> None:
    """Up on each kind of metric, then down: every replica count follows from what was written."""

    def active() -> bool:
        found = _conditions(autoscaled())
        return found.get("AbleToScale") == "True" and found.get("ScalingActive") == "True"

    # The autoscaler's own discovery learns of new APIServices in up to 30 s.
    wait_until(active, 60, lambda: f"the autoscaler is not active: {autoscaled()}", interval=0.5)
    failures_before = _failures(control_plane)

    def scaled_to(replicas: int) -> None:
        def reached() -> bool:
            deployment = get(control_plane, "deployment", "web", f"--namespace={SHOP}")
            ready = deployment["status"].get("readyReplicas", 0)
            return bool(deployment["spec"]["replicas"] == ready == replicas == len(_pods(control_plane)))

        wait_until(reached, SCALE_SECONDS, lambda: f"not scaled to {replicas}: {autoscaled()['status']}", interval=0.2)

    scaled_to(1)
    # Pods: 20 against an average of 10 wants 2; the new pod has no value and counts as 0, so it stays there.
    (pod,) = _pods(control_plane)
    write(server, f"namespaces/{SHOP}/pods/{pod}/packets-per-second", "20")
    scaled_to(2)
    # External: 40 against an average of 10 wants 4.
    write(server, f"external/namespaces/{SHOP}/queue-depth?labels=queue=orders", "40")
    scaled_to(4)
    # Object: 550 against an average of 100 wants 6.
    write(server, f"namespaces/{SHOP}/services/web/requests-per-second", "550")
    scaled_to(6)

    def current() -> dict[str, str]:
        rows = autoscaled()["status"]["currentMetrics"]
        return {row["type"]: row[row["type"].lower()]["current"]["averageValue"] for row in rows}

    # Over six replicas, rounded up; the one pod with a value.
    expected = {"Pods": "20", "Object": "91667m", "External": "6667m"}
    wait_until(lambda: current() == expected, 15, lambda: f"the autoscaler sees {current()}", interval=0.2)
    # All three fall; half of the average in each pod wants half of the pods, again and again.
    write(server, f"external/namespaces/{SHOP}/queue-depth?labels=queue=orders", "5")
    write(server, f"namespaces/{SHOP}/services/web/requests-per-second", "50")
    for pod in _pods(control_plane):
        write(server, f"namespaces/{SHOP}/pods/{pod}/packets-per-second", "5")
    scaled_to(1)

    assert active()
    assert _failures(control_plane) == failures_before
