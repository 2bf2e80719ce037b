"""The real API server takes every manifest: each field is known to it, each value valid, each pod admitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.k8s.checkout import NAMESPACE, Checkout, find

K8S = Path(__file__).parents[2] / "k8s"
# cert-manager's own definitions are not here: these know the fields that we use, and refuse any other.
TEXT, WHOLE, YES = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
STAND_INS = {
    "Issuer": {"selfSigned": {"type": "object"}, "ca": {"type": "object", "properties": {"secretName": TEXT}}},
    "Certificate": {
        **dict.fromkeys(("commonName", "secretName", "duration", "renewBefore"), TEXT),
        "isCA": YES,
        "dnsNames": {"type": "array", "items": TEXT},
        "usages": {"type": "array", "items": TEXT},
        "privateKey": {"type": "object", "properties": {"algorithm": TEXT, "size": WHOLE, "rotationPolicy": TEXT}},
        "issuerRef": {"type": "object", "properties": dict.fromkeys(("group", "kind", "name"), TEXT)},
    },
}


@pytest.fixture(name="cert_manager", scope="module")
def _cert_manager(control_plane: ControlPlane) -> None:
    """The kinds of cert-manager."""
    definitions = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [_definition(*row) for row in STAND_INS.items()]}
    )
    control_plane.kubectl("apply", "--filename=-", input=definitions)
    for kind in STAND_INS:
        name = f"customresourcedefinition/{kind.lower()}s.cert-manager.io"
        control_plane.kubectl("wait", "--for=condition=Established", name, "--timeout=30s")


def _definition(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.lower()}s.cert-manager.io"},
        "spec": {
            "group": "cert-manager.io",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": f"{kind.lower()}s"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("base", id="the base alone, with an empty caBundle"),
        pytest.param("overlays/openssl", id="with the page's certificate"),
        pytest.param("overlays/cert-manager", id="with cert-manager"),
        pytest.param("overlays/with-a-policy", id="with the NetworkPolicy"),
        pytest.param("example", id="the example"),
    ],
)
@pytest.mark.usefixtures("cert_manager")
def test_manifests_are_accepted(control_plane: ControlPlane, checkout: Checkout, name: str) -> None:
    """Strictly: an unknown or a repeated field is an error. One follows the other, as when somebody changes over."""
    checkout.overlay("with-a-policy", resources=["../../base"], components=["../../components/network-policy"])
    expected = len(checkout.render(name))
    applied = checkout.run(
        f"kubectl apply --server-side --validate=strict --kustomize k8s/{name}", kubeconfig=control_plane.kubeconfig
    )
    assert len(applied.splitlines()) == expected


def test_every_kustomization_is_applied_above() -> None:
    """None is forgotten when there is a new one."""
    found = {str(path.parent.relative_to(K8S)) for path in K8S.rglob("kustomization.yaml")}
    assert found == {
        "base",
        "overlays/openssl",
        "overlays/cert-manager",
        "components/cert-manager",
        "components/network-policy",
        "example",
    }


def test_pods_are_admitted_by_the_strictest_standard(control_plane: ControlPlane, checkout: Checkout) -> None:
    """The namespace enforces `restricted`, and both replicas are there; a pod that is not so strict is refused."""
    checkout.run("kubectl apply --server-side --kustomize k8s/base", kubeconfig=control_plane.kubeconfig)

    def pods() -> int:
        selector = "--selector=app.kubernetes.io/name=metrics-apiserver"
        found = control_plane.kubectl("get", "pods", f"--namespace={NAMESPACE}", selector, "--output=name")
        return len(found.stdout.split())

    wait_until(lambda: pods() >= 2, 30, "the Deployment has no pods")
    refused = control_plane.kubectl("run", "x", "--image=x", f"--namespace={NAMESPACE}", check=False)
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_reader_is_a_part_of_the_clusters_own_roles(control_plane: ControlPlane, checkout: Checkout) -> None:
    """Its labels are those by which view, edit and admin gather their rules."""
    roles = {role["metadata"]["name"]: role for role in find(checkout.render("base"), "ClusterRole")}
    labels = roles["metrics-apiserver:metrics-reader"]["metadata"]["labels"]
    for name in ("view", "edit", "admin"):
        role = json.loads(control_plane.kubectl("get", "clusterrole", name, "--output=json").stdout)
        selectors = [selector["matchLabels"] for selector in role["aggregationRule"]["clusterRoleSelectors"]]
        assert any(selector.items() <= labels.items() for selector in selectors), name
