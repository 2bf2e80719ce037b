"""The example's functions under a real autoscaler: polled and asked, with and without a selector."""

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

NAMESPACE = "functions"
EXAMPLE = Path(__file__).parents[2] / "examples" / "functions.py"
LABELS = {"app": "worker"}
AT_ONCE = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]}


def queue_depth(average: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    metric: dict[str, Any] = {"name": "queue-depth"}
    if labels:
        metric["selector"] = {"matchLabels": labels}
    return {"type": "External", "external": {"metric": metric, "target": _average(average)}}


def _average(value: str) -> dict[str, str]:
    return {"type": "AverageValue", "averageValue": value}


OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "worker", "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "work", "image": "work"}]}},
        },
    },
    {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "worker", "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "behavior": {"scaleUp": AT_ONCE},
            "metrics": [
                # 30 orders: three workers. All that waits, 42: two. Seven sessions each: as many as there are.
                queue_depth("10", {"queue": "orders"}),
                queue_depth("21"),
                {"type": "Pods", "pods": {"metric": {"name": "open-sessions"}, "target": _average("7")}},
            ],
        },
    },
]


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server in cluster mode with the example's file beside the writable provider, registered."""
    with aggregated.start(control_plane, tmp_path_factory.mktemp("functions"), f"--metrics={EXAMPLE}") as server:
        server.wait_until_ready()
        with aggregated.registered(control_plane, server):
            yield server


def test_autoscaler_scales_by_functions(control_plane: ControlPlane, server: LiveServer) -> None:
    """The largest of three wishes; each current value is the function's."""
    control_plane.kubectl(
        "apply", "--filename=-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS})
    )

    def get(kind: str) -> dict[str, Any]:
        found = control_plane.kubectl("get", kind, "worker", f"--namespace={NAMESPACE}", "--output=json")
        document: dict[str, Any] = json.loads(found.stdout)
        return document

    def settled() -> bool:
        ready, current = get("deployment")["status"].get("readyReplicas"), get("hpa")["status"].get("currentReplicas")
        return ready == current == 3 and "10/10" in targets() and "14/21" in targets()

    def targets() -> str:
        return control_plane.kubectl("get", "hpa", "worker", f"--namespace={NAMESPACE}").stdout.splitlines()[1]

    try:
        # The autoscaler's own discovery learns of new APIServices in up to 30 s.
        wait_until(settled, 120, lambda: f"{targets()} {get('hpa')['status']}\n{server.log()}", interval=0.5)
        current = [metric.get("external", metric.get("pods")) for metric in get("hpa")["status"]["currentMetrics"]]
        assert [(metric["metric"]["name"], metric["current"]["averageValue"]) for metric in current] == [
            ("queue-depth", "10"),
            ("queue-depth", "14"),
            ("open-sessions", "7"),
        ]
    finally:
        control_plane.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s", timeout=90)
