"""Our server on the real cluster's resources and objects, asked directly: the recorded answers once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance import recorded
from tests.controlplane import aggregated
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server in cluster mode, with the recorded objects in the cluster and the recorded values written."""
    control_plane.kubectl("apply", f"--filename={recorded.CLUSTER_YAML}")
    with aggregated.start(control_plane, tmp_path_factory.mktemp("cluster-mode")) as server:
        server.wait_until_ready()
        recorded.write_all(server.ask)
        recorded.wait_until_listed(server.ask)
        yield server
    control_plane.kubectl("delete", f"--filename={recorded.CLUSTER_YAML}", "--wait=false")


@pytest.mark.parametrize("case", recorded.cases())
def test_recorded_answer_or_its_named_difference(case: dict[str, Any], server: LiveServer) -> None:
    """What the reference answered on this cluster, ours answers too, or differs as the table says."""
    recorded.check(case, server.ask(case["method"], case["path"], case["headers"]))


def test_mode_is_told_first(server: LiveServer) -> None:
    """The log says which mode and why."""
    assert "cluster mode: --kubeconfig names " in server.log()


def test_resource_of_another_group_is_found_by_its_singular(control_plane: ControlPlane, server: LiveServer) -> None:
    """Names come from the cluster's own discovery."""
    target = "/write-metrics/namespaces/shop/horizontalpodautoscaler.autoscaling/x/m"
    assert server.ask("POST", target, {}, b"1").status == 200
    read = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/horizontalpodautoscalers/x/m"
    described = server.ask("GET", read, {}).json["items"][0]["describedObject"]
    assert (described["kind"], described["apiVersion"]) == ("HorizontalPodAutoscaler", "autoscaling/v2")


def test_pods_stay_the_core_pods(
    control_plane: ControlPlane, server: LiveServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A metric of pods makes our own group list `pods` in the cluster's discovery: that is never the meaning of `pods`.

    The second server reads the cluster's resources while the first one's group is among them.
    """
    with aggregated.registered(control_plane, server):
        wait_until(
            lambda: "custom.metrics.k8s.io" in control_plane.kubectl("api-versions", check=False).stdout,
            30,
            "the cluster does not list our group",
        )
        with aggregated.start(control_plane, tmp_path_factory.mktemp("second")) as second:
            second.wait_until_ready()
            assert second.ask("POST", "/write-metrics/namespaces/shop/pods/cart-0/m", {}, b"1").status == 200
            read = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/m"
            items = second.ask("GET", read, {}).json["items"]
    assert [item["describedObject"]["apiVersion"] for item in items] == ["/v1"]
