"""The page, followed on a real control plane; what would run in a pod runs beside it, with the same rights."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.controlplane.account import account_token
from tests.controlplane.build import ensure_binaries
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.k8s.checkout import CERTIFICATE, INSTALL, NAMESPACE, Checkout, account_kubeconfig, the
from tests.k8s.outside import Outside, mount, pod, reached, secret_of
from tests.packaging.pages import ELSEWHERE, Step, blocks, expected_after, steps

APPLY = "kubectl apply --server-side --kustomize k8s/overlays/openssl"
REMOVE = "kubectl delete --kustomize k8s/example"
ACCOUNT = "system:serviceaccount:metrics-apiserver:metrics-apiserver"
AUTOSCALER = "kube-system/horizontal-pod-autoscaler"
CUSTOM, EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
PODS = f"{CUSTOM}/namespaces/default/pods/*/packets-per-second"
QUEUE = f"{EXTERNAL}/namespaces/default/queue-depth"
FORBIDDEN = (
    'pods.custom.metrics.k8s.io "*" is forbidden: User "{}" cannot get resource "pods/packets-per-second"'
    ' in API group "custom.metrics.k8s.io" in the namespace "default"'
)
SELECTED = {
    "pods": PODS,
    "services": f"{CUSTOM}/namespaces/default/services/*/m",
    "nodes": f"{CUSTOM}/nodes/*/m",
    "namespaces": f"{CUSTOM}/namespaces/*/metrics/m",
}


def part(*, removal: bool) -> list[Step]:
    """Give the page's steps before, or after, the first that removes."""
    every = [step for step in steps(INSTALL) if step.command not in ELSEWHERE]
    first = [step.command for step in every].index(REMOVE)
    return every[first:] if removal else every[:first]


@dataclass(frozen=True)
class Followed:
    """The page, followed up to where it removes: in which checkout, with which server, and who asks."""

    control_plane: ControlPlane
    checkout: Checkout
    server: Outside
    folder: Path
    recorded: int
    """How much of the API server's record is older."""

    def kubectl(self, account: str, *arguments: str) -> tuple[str, str]:
        """Run kubectl as a service account, NAMESPACE/NAME; gives what it prints on both channels."""
        namespace, _, name = account.partition("/")
        kubeconfig = account_kubeconfig(self.control_plane, self.folder, namespace=namespace, name=name)
        done = self.control_plane.kubectl(f"--kubeconfig={kubeconfig}", *arguments, check=False)
        return done.stdout, done.stderr

    def direct(self, path: str, account: str = "") -> tuple[int, dict[str, Any]]:
        """Ask the server itself, with an account's token or with nothing."""
        headers = {}
        if account:
            namespace, _, name = account.partition("/")
            headers["Authorization"] = f"Bearer {account_token(self.control_plane, name, namespace=namespace)}"
        answer = self.server.ask("GET", path, headers)
        return answer.status, answer.json


@pytest.fixture(name="followed", scope="module")
def _followed(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """Follow the page from its beginning; what is applied is there, and then a process takes the place of its pods."""
    folder, recorded = tmp_path_factory.mktemp("installed"), len(control_plane.log("audit"))
    checkout = Checkout.make(tmp_path_factory.mktemp("followed"), ensure_binaries().kubectl)
    before = [step.command for step in part(removal=False)].index(APPLY)
    for step in part(removal=False)[: before + 1]:
        checkout.run(step.command, kubeconfig=control_plane.kubeconfig)
    for name in ("stranger", "viewer"):
        control_plane.kubectl("create", "serviceaccount", name, "--namespace=default")
    with pod(control_plane, folder) as server:
        reached(checkout, control_plane, server)
        for step in part(removal=False)[before + 1 :]:
            printed = checkout.run(step.command, kubeconfig=control_plane.kubeconfig)
            if step.prints is not None:
                assert expected_after(printed) == expected_after(step.prints)
        yield Followed(control_plane, checkout, server, folder, recorded)


def asked(followed: Followed, *, code: int | None = None) -> set[tuple[str, str]]:
    """Give verb and resource of all that the account asked for, or of what was answered so."""
    record = followed.control_plane.log("audit")[followed.recorded :]
    events = [json.loads(line) for line in record.splitlines() if line.endswith("}")]
    return {
        (event["verb"], event.get("objectRef", {}).get("resource", ""))
        for event in events
        if event["user"]["username"] == ACCOUNT
        if code is None or event.get("responseStatus", {}).get("code") == code
    }


def test_api_services_are_available_by_the_pages_certificate(followed: Followed) -> None:
    """The aggregator reached the server, verified it, and was recognised by it."""
    services = json.loads(followed.control_plane.kubectl("get", "apiservices", "--output=json").stdout)["items"]
    ours = [each for each in services if each["spec"].get("service", {}).get("namespace") == NAMESPACE]
    assert len(ours) == 3
    for each in ours:
        assert {row["type"]: row["status"] for row in each["status"]["conditions"]}["Available"] == "True"
        assert each["spec"]["caBundle"]


@pytest.mark.parametrize("path", [pytest.param(PODS, id="of the pods"), pytest.param(QUEUE, id="external")])
def test_autoscalers_account_reads_the_examples_metrics(followed: Followed, path: str) -> None:
    """Through the aggregator, and from the server itself with its token."""
    printed, refused = followed.kubectl(AUTOSCALER, "get", "--raw", path)
    assert refused == ""
    code, document = followed.direct(path, AUTOSCALER)
    assert code == 200
    for answer in (json.loads(printed), document):
        assert {item["value"] for item in answer["items"]} == {"10"}


def test_autoscaler_scales_by_both_metrics(followed: Followed) -> None:
    """The real controller, with its own account: ten for each of three pods, and a third of ten."""
    arguments = ("horizontalpodautoscaler/metrics-example", "--namespace=default", "--output=json")

    def current() -> list[str]:
        status = json.loads(followed.control_plane.kubectl("get", *arguments).stdout)["status"]
        rows = [row.get("pods") or row.get("external") for row in status.get("currentMetrics") or () if row["type"]]
        return [row["current"]["averageValue"] for row in rows if row]

    wait_until(lambda: current() == ["10", "3334m"], 30, lambda: f"the autoscaler has read {current()}")


def test_account_without_rights_is_forbidden(followed: Followed) -> None:
    """By the API server, before it hands anything on, and by the server itself, in the same words."""
    sentence = FORBIDDEN.format("system:serviceaccount:default:stranger")
    printed, refused = followed.kubectl("default/stranger", "get", "--raw", PODS)
    assert (printed, refused) == ("", f"Error from server (Forbidden): {sentence}\n")
    code, status = followed.direct(PODS, "default/stranger")
    assert (code, status["message"]) == (403, sentence)


def test_nobodys_request_is_the_anonymous_users(followed: Followed) -> None:
    """The first of the page's two errors: asked directly, without a token."""
    code, status = followed.direct(PODS)
    assert (code, status["message"]) == (403, FORBIDDEN.format("system:anonymous"))
    assert '`User "system:anonymous" cannot get resource …`' in INSTALL.read_text(encoding="utf-8")


def test_reader_of_one_namespace_reads_there_only(followed: Followed) -> None:
    """A RoleBinding of the ClusterRole, as one of `view` would have it."""
    binding = ("rolebinding", "viewer", "--clusterrole=metrics-apiserver:metrics-reader")
    followed.control_plane.kubectl("create", *binding, "--serviceaccount=default:viewer", "--namespace=default")
    wait_until(lambda: not followed.kubectl("default/viewer", "get", "--raw", QUEUE)[1], 20, "not allowed")
    assert followed.direct(QUEUE, "default/viewer")[0] == 200
    elsewhere = QUEUE.replace("/default/", "/kube-system/")
    assert "is forbidden" in followed.kubectl("default/viewer", "get", "--raw", elsewhere)[1]
    assert followed.direct(elsewhere, "default/viewer")[0] == 403


@pytest.mark.parametrize("resource", SELECTED)
def test_objects_of_each_rule_are_read_by_selector(followed: Followed, resource: str) -> None:
    """With the rights of the Deployment's account: what it may not list would be a 503."""
    printed, refused = followed.kubectl(AUTOSCALER, "get", "--raw", SELECTED[resource])
    assert refused == ""
    assert json.loads(printed)["kind"] == "MetricValueList"


def test_nothing_that_the_server_asked_was_forbidden(followed: Followed) -> None:
    """The API server's own record: it asked for all that its rules name, and was refused nothing."""
    for path in SELECTED.values():
        assert followed.direct(path, AUTOSCALER)[0] == 200
    role = the(followed.checkout.render("base"), "ClusterRole", "metrics-apiserver:object-reader")
    expected = {(verb, plural) for rule in role["rules"] for plural in rule["resources"] for verb in rule["verbs"]}
    expected |= {("create", "tokenreviews"), ("create", "subjectaccessreviews")}
    expected |= {("list", "configmaps"), ("watch", "configmaps")}
    # A watch is recorded when it begins.
    wait_until(lambda: expected <= asked(followed), 20, lambda: f"never asked for: {expected - asked(followed)}")
    assert asked(followed, code=403) == set()
    assert asked(followed) - expected <= {("get", "")}


def test_another_resource_needs_the_pages_rule(followed: Followed) -> None:
    """Without it the read says what is missing, and the log why; with it the next one is answered."""
    component, role = [block.text for block in blocks(INSTALL) if block.language == "yaml"]
    assert yaml.safe_load(component) == {"components": ["../../components/network-policy"]}
    path = f"{CUSTOM}/namespaces/default/deployments.apps/*/m"
    code, status = followed.direct(path, AUTOSCALER)
    assert code == 503
    assert status["message"] == "the deployments.apps of the cluster have not been listed yet"
    reason = f'User "{ACCOUNT}" cannot list resource "deployments" in API group "apps"'
    wait_until(lambda: reason in followed.server.log(), 10, followed.server.log)
    followed.control_plane.kubectl("apply", "--server-side", "--validate=strict", "--filename=-", input=role)
    try:
        wait_until(lambda: followed.direct(path, AUTOSCALER)[0] == 200, 30, "still not listed", interval=0.5)
    finally:
        followed.control_plane.kubectl("delete", "--filename=-", input=role)


def test_renewed_certificate_is_served_without_a_restart(followed: Followed) -> None:
    """The page's second and third command and the apply once more; the kubelet's part is done here."""
    old = secret_of(followed.control_plane, "metrics-apiserver-serving-certs")
    for command in (*CERTIFICATE[1:], APPLY):
        followed.checkout.run(command, kubeconfig=followed.control_plane.kubeconfig)
    # The Service is the cluster's own again with that.
    reached(followed.checkout, followed.control_plane, followed.server)
    new = secret_of(followed.control_plane, "metrics-apiserver-serving-certs")
    assert (new["ca.crt"], new["tls.crt"] != old["tls.crt"]) == (old["ca.crt"], True)
    mount(followed.folder / "serving-certs", new)
    serial = x509.load_pem_x509_certificate(new["tls.crt"]).serial_number

    def served() -> int:
        pem = ssl.get_server_certificate(("127.0.0.1", followed.server.port))
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    wait_until(lambda: served() == serial, 30, "the old certificate is still served")
    assert followed.server.ask("GET", "/livez", {}).status == 200


def test_page_removes_what_it_installed(followed: Followed) -> None:
    """Last: the namespace goes, which it could not as long as an APIService names a server that is gone."""
    followed.server.stop()
    for step in part(removal=True):
        followed.checkout.run(step.command, kubeconfig=followed.control_plane.kubeconfig)
    for item in followed.checkout.render("overlays/openssl"):
        kind, name = item["kind"], item["metadata"]["name"]
        namespace = item["metadata"].get("namespace", "default")
        left = followed.control_plane.kubectl("get", kind, name, f"--namespace={namespace}", "--ignore-not-found")
        assert left.stdout == "", f"{kind} {name}"
