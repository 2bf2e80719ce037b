"""The shipped `constant` provider under a real autoscaler: a metric that nobody lists is 10, against a target of 60."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import aggregated
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

NAMESPACE = "constant"
HPA_YAML = Path(__file__).parents[2] / "examples" / "walkthrough" / "hpa.yaml"
LABELS = {"app": "web"}
AT_ONCE = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]}
WORKLOAD: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "web"}]}},
        },
    },
]
AUTOSCALER: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": NAMESPACE},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 3,
        "behavior": {"scaleDown": AT_ONCE},
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "of-nobodys-listing"},
                    "target": {"type": "AverageValue", "averageValue": "60"},
                },
            }
        ],
    },
}


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server in cluster mode with `constant` and no options, registered."""
    folder = tmp_path_factory.mktemp("constant")
    with aggregated.start(control_plane, folder, provider="constant") as server:
        server.wait_until_ready()
        with aggregated.registered(control_plane, server):
            yield server


@pytest.fixture(name="workload")
def _workload(control_plane: ControlPlane, server: LiveServer) -> Iterator[None]:
    """A Deployment of three pods, all Ready."""
    control_plane.kubectl("apply", "--filename=-", input=_list(*WORKLOAD))
    control_plane.kubectl(
        "rollout", "status", "deployment/web", f"--namespace={NAMESPACE}", "--timeout=60s", timeout=90
    )
    yield
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s", timeout=90)


def _list(*items: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _get(control_plane: ControlPlane, kind: str) -> dict[str, Any]:
    found = control_plane.kubectl("get", kind, "web", f"--namespace={NAMESPACE}", "--output=json")
    document: dict[str, Any] = json.loads(found.stdout)
    return document


def test_autoscaler_reads_ten_and_goes_to_its_minimum(
    control_plane: ControlPlane, server: LiveServer, workload: None
) -> None:
    """10 against an average of 60 wants a sixth of three pods: one."""
    assert _get(control_plane, "deployment")["status"]["readyReplicas"] == 3
    discovery = server.ask("GET", "/apis/custom.metrics.k8s.io/v1beta2", {}).json
    assert [row["name"] for row in discovery["resources"]] == ["custommetrics"]
    control_plane.kubectl("apply", "--filename=-", input=_list(AUTOSCALER))

    def scaled() -> bool:
        deployment = _get(control_plane, "deployment")
        return bool(deployment["spec"]["replicas"] == deployment["status"].get("replicas") == 1)

    # The autoscaler's own discovery learns of new APIServices in up to 30 s.
    wait_until(scaled, 90, lambda: f"not at minReplicas: {_get(control_plane, 'hpa')['status']}", interval=0.2)

    current = [{"type": "Pods", "pods": {"metric": {"name": "of-nobodys-listing"}, "current": {"averageValue": "10"}}}]
    assert _get(control_plane, "hpa")["status"]["currentMetrics"] == current
    printed = control_plane.kubectl("get", "hpa", "web", f"--namespace={NAMESPACE}")
    header, row = printed.stdout.splitlines()
    assert header.split() == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert row.split()[:5] == ["web", "Deployment/web", "10/60", "1", "3"]
    assert printed.stderr == ""


def test_manifest_of_the_walkthrough_is_read_by_the_autoscaler(
    control_plane: ControlPlane, server: LiveServer, workload: None
) -> None:
    """The page's two commands, for a Deployment and a Service of the page's names: both metrics are 10."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"selector": LABELS, "ports": [{"port": 80}]},
    }
    control_plane.kubectl("apply", "--filename=-", input=_list(service))
    applied = control_plane.kubectl("apply", f"--filename={HPA_YAML}", f"--namespace={NAMESPACE}")
    assert (applied.stdout, applied.stderr) == ("horizontalpodautoscaler.autoscaling/web created\n", "")

    def targets() -> str:
        printed = control_plane.kubectl("get", "hpa", "web", f"--namespace={NAMESPACE}").stdout
        return printed.splitlines()[1]

    wait_until(lambda: "10/20, 10/10" in targets(), 90, lambda: f"the autoscaler prints {targets()}", interval=0.2)
