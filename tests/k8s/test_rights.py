"""The least rights: for each rule the request that the real API server refuses without it, and no right beyond."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.config import load_client
from metrics_apiserver.kube.listing import list_objects
from metrics_apiserver.kube.reviews import SubjectAccessReviews, TokenReviews
from metrics_apiserver.kube.watch import Watch
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.k8s.checkout import Checkout, account_kubeconfig, the

SECONDS = 20.0
NOBODY = "nobody"
RBAC = "rbac.authorization.k8s.io"
METRICS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
AUTHENTICATION = "metadata.name=extension-apiserver-authentication"
OBJECT_READER, METRICS_READER = "metrics-apiserver:object-reader", "metrics-apiserver:metrics-reader"
Request = Callable[[ClusterClient], object]


def listing(plural: str) -> Request:
    """Make the request with which a watch cache begins."""
    return lambda client: list_objects(client, f"/api/v1/{plural}")


def watching(path: str, field_selector: str = "") -> Request:
    """Make the request with which it goes on, for a moment."""

    def request(client: ClusterClient) -> None:
        with Watch(client, path, version="0", seconds=1, field_selector=field_selector):
            pass

    return request


def getting(path: str, **query: str) -> Request:
    """Make a GET."""
    return lambda client: client.get_json(path, query=query)


def review_token(client: ClusterClient) -> None:
    """Ask whose a token is."""
    TokenReviews(client).review("x", ())


def review_access(client: ClusterClient) -> None:
    """Ask what somebody may."""
    SubjectAccessReviews(client).review({"user": "x", "nonResourceAttributes": {"path": "/", "verb": "get"}})


# Kind and name of what gives the right, the part of its rule (resource, verb; none where all of it goes), the request.
OURS = [
    pytest.param("ClusterRole", OBJECT_READER, (plural, verb), request_for(plural), id=f"{verb} {plural}")
    for plural in ("namespaces", "nodes", "pods", "services")
    for verb, request_for in (("list", listing), ("watch", lambda plural: watching(f"/api/v1/{plural}")))
] + [
    pytest.param("ClusterRoleBinding", OBJECT_READER, None, listing("pods"), id="the binding of the objects"),
    *(
        pytest.param("ClusterRoleBinding", "metrics-apiserver:system:auth-delegator", None, request, id=title)
        for title, request in (("review a token", review_token), ("review an access", review_access))
    ),
    *(
        pytest.param(
            "RoleBinding", "metrics-apiserver:extension-apiserver-authentication-reader", None, request, id=title
        )
        for title, request in (
            ("list the one ConfigMap", getting(CONFIG_MAPS, fieldSelector=AUTHENTICATION)),
            ("watch the one ConfigMap", watching(CONFIG_MAPS, AUTHENTICATION)),
        )
    ),
]
AUTOSCALERS = [
    pytest.param("ClusterRole", METRICS_READER, ("*", "get"), getting(f"{METRICS}/pods/*/m"), id="a metric of pods"),
    pytest.param("ClusterRole", METRICS_READER, ("*", "list"), getting(f"{EXTERNAL}/m"), id="an external metric"),
    pytest.param(
        "ClusterRoleBinding",
        "metrics-apiserver:horizontal-pod-autoscaler",
        None,
        getting(f"{EXTERNAL}/m"),
        id="the binding",
    ),
]


@pytest.fixture(name="installed", scope="module")
def _installed(control_plane: ControlPlane, checkout: Checkout) -> list[dict[str, Any]]:
    """The manifests, applied; and an account that has no right of its own."""
    checkout.run("kubectl apply --server-side --kustomize k8s/overlays/openssl", kubeconfig=control_plane.kubeconfig)
    nobody = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NOBODY, "namespace": "default"}}
    control_plane.kubectl("apply", "--filename=-", input=json.dumps(nobody))
    return checkout.render("overlays/openssl")


@pytest.fixture(name="client_of", scope="module")
def _client_of(
    control_plane: ControlPlane, installed: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], ClusterClient]]:
    """Make clients with the token of a service account."""
    folder, clients = tmp_path_factory.mktemp("accounts"), []

    def client_of(namespace: str, name: str) -> ClusterClient:
        client = ClusterClient(
            load_client(str(account_kubeconfig(control_plane, folder, namespace=namespace, name=name)))
        )
        clients.append(client)
        return client

    yield client_of
    for client in clients:
        client.close()


def status(request: Request, client: ClusterClient) -> int:
    """Send a request, and give the answer's status."""
    try:
        request(client)
    except ClusterError as error:
        if error.status is None:
            raise
        return error.status
    return HTTPStatus.OK


def less(original: dict[str, Any], part: tuple[str, str]) -> dict[str, Any]:
    """Give the role without one verb of one resource."""
    resource, verb = part
    changed = copy.deepcopy(original)
    changed["rules"] = [
        {**rule, "resources": [plural], "verbs": [each for each in rule["verbs"] if (plural, each) != part]}
        for rule in original["rules"]
        for plural in rule["resources"]
    ]
    changed["rules"] = [rule for rule in changed["rules"] if rule["verbs"]]
    assert changed["rules"] != original["rules"], f"nobody may {verb} {resource} by this role"
    return changed


@contextlib.contextmanager
def taken(control_plane: ControlPlane, original: dict[str, Any], part: tuple[str, str] | None) -> Iterator[None]:
    """Take a right away: a part of a role, or the whole object."""

    def apply(item: dict[str, Any]) -> None:
        control_plane.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(item))

    try:
        if part is None:
            control_plane.kubectl("delete", "--filename=-", input=json.dumps(original))
        else:
            apply(less(original, part))
        yield
    finally:
        apply(original)


@pytest.mark.parametrize(("kind", "name", "part", "request_"), OURS)
def test_request_fails_without_the_rule(
    control_plane: ControlPlane,
    installed: list[dict[str, Any]],
    client_of: Callable[[str, str], ClusterClient],
    kind: str,
    name: str,
    part: tuple[str, str] | None,
    request_: Request,
) -> None:
    """Sent as the server sends it, with its account's token: allowed with the rule, forbidden without."""
    client = client_of("metrics-apiserver", "metrics-apiserver")
    # The API server hears of a change of the rules in its own time.
    wait_until(lambda: status(request_, client) == HTTPStatus.OK, SECONDS, "not allowed with the rule")
    with taken(control_plane, the(installed, kind, name), part):
        wait_until(lambda: status(request_, client) == HTTPStatus.FORBIDDEN, SECONDS, "allowed without the rule")


@pytest.fixture(name="without_kubernetes_own", scope="module")
def _without_kubernetes_own(control_plane: ControlPlane) -> Iterator[None]:
    """Kubernetes' own role for the autoscaler without the metrics, as in a cluster where somebody changed it."""
    name = "system:controller:horizontal-pod-autoscaler"
    role = json.loads(control_plane.kubectl("get", "clusterrole", name, "--output=json").stdout)
    for entry in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
        role["metadata"].pop(entry, None)
    rules = [rule for rule in role["rules"] if not any(group.endswith("metrics.k8s.io") for group in rule["apiGroups"])]
    assert rules != role["rules"]
    control_plane.kubectl("replace", "--filename=-", input=json.dumps({**role, "rules": rules}))
    yield
    control_plane.kubectl("replace", "--filename=-", input=json.dumps(role))


@pytest.mark.usefixtures("without_kubernetes_own")
@pytest.mark.parametrize(("kind", "name", "part", "request_"), AUTOSCALERS)
def test_autoscaler_is_forbidden_without_the_rule(
    control_plane: ControlPlane,
    installed: list[dict[str, Any]],
    client_of: Callable[[str, str], ClusterClient],
    kind: str,
    name: str,
    part: tuple[str, str] | None,
    request_: Request,
) -> None:
    """With the rule the API server goes on to hand the read over, and there is nobody: 503 is no matter of rights."""
    client = client_of("kube-system", "horizontal-pod-autoscaler")
    allowed = HTTPStatus.SERVICE_UNAVAILABLE
    wait_until(lambda: status(request_, client) == allowed, SECONDS, "not allowed with the rule")
    with taken(control_plane, the(installed, kind, name), part):
        wait_until(lambda: status(request_, client) == HTTPStatus.FORBIDDEN, SECONDS, "allowed without the rule")


def test_observer_may_read_what_the_server_tells_of_itself(
    control_plane: ControlPlane, installed: list[dict[str, Any]], client_of: Callable[[str, str], ClusterClient]
) -> None:
    """Nobody has the role until it is bound; the paths are judged by the API server as it judges its own."""
    client, metrics = client_of("default", NOBODY), getting("/metrics")
    assert status(metrics, client) == HTTPStatus.FORBIDDEN
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "an-observer"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "metrics-apiserver:observer",
        },
        "subjects": [{"kind": "ServiceAccount", "name": NOBODY, "namespace": "default"}],
    }
    control_plane.kubectl("apply", "--filename=-", input=json.dumps(binding))
    try:
        # Its answer is text and not JSON: whether it is given is all that counts.
        wait_until(lambda: may(client, "/metrics"), SECONDS, "not allowed with the role")
        assert may(client, "/debug/reads")
        assert not may(client, "/logs")
    finally:
        control_plane.kubectl("delete", "clusterrolebinding", "an-observer")


def may(client: ClusterClient, path: str) -> bool:
    """Return whether the account may get a path, as the API server reviews it."""
    document = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"nonResourceAttributes": {"path": path, "verb": "get"}},
    }
    answer = client.post_json("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", document)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize(
    ("namespace", "config_maps"),
    [
        pytest.param("default", [], id="in any namespace"),
        pytest.param("kube-system", ["get", "list", "watch"], id="in the one of the ConfigMap"),
    ],
)
def test_account_has_no_other_right(
    installed: list[dict[str, Any]],
    client_of: Callable[[str, str], ClusterClient],
    namespace: str,
    config_maps: list[str],
) -> None:
    """What the API server says that the account may, beyond what every account may."""
    ours, everyones = client_of("metrics-apiserver", "metrics-apiserver"), client_of("default", NOBODY)
    expected = {
        ("", plural, verb) for plural in ("namespaces", "nodes", "pods", "services") for verb in ("list", "watch")
    }
    expected |= {("authentication.k8s.io", "tokenreviews", "create")}
    expected |= {("authorization.k8s.io", "subjectaccessreviews", "create")}
    expected |= {("", "configmaps/extension-apiserver-authentication", verb) for verb in config_maps}

    def beyond() -> set[tuple[str, str, str]]:
        return rights(ours, namespace) - rights(everyones, namespace)

    # What the tests before this one took away comes back in its own time.
    wait_until(lambda: beyond() == expected, SECONDS, lambda: f"beyond every account's: {beyond()}", interval=0.5)


def rights(client: ClusterClient, namespace: str) -> set[tuple[str, str, str]]:
    """Give (group, resource, verb) of all that an account may in a namespace and in the cluster."""
    document = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = client.post_json("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", document)["status"]
    assert not answer["incomplete"]
    return {
        (group, "/".join([resource, *([name] if name else [])]), verb)
        for rule in answer["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }
