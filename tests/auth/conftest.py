"""A server in cluster mode, in this process, on a small cluster that reviews as the reference's did."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from werkzeug.test import Client, TestResponse

from metrics_apiserver.configuration import settings_from
from metrics_apiserver.environ import HEADER_PAIRS, PEER_CERTIFICATE
from metrics_apiserver.factory import create_app
from metrics_apiserver.server import MetricsServer
from tests.auth.making import NOBODY, Answer, der, reference_decision, root
from tests.conftest import environ
from tests.controlplane.certificates import Certificate
from tests.kube.conftest import FakeCluster

CLIENT_CA, PROXY_CA = root("client-ca"), root("front-proxy-ca")
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
DISCOVERY = Path(__file__).parent.parent / "kube" / "discovery-v1.36.3.json"

Ask = Callable[..., TestResponse]


def config_maps(client_ca: Certificate = CLIENT_CA, proxy_ca: Certificate = PROXY_CA) -> dict[str, Any]:
    """The list of the one ConfigMap, as a kube-apiserver writes it."""
    data = {
        "client-ca-file": client_ca.certificate_pem.decode(),
        "requestheader-client-ca-file": proxy_ca.certificate_pem.decode(),
        "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
        "requestheader-username-headers": json.dumps(["X-Remote-User"]),
        "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
        "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
    }
    name = "extension-apiserver-authentication"
    item = {"metadata": {"name": name, "namespace": "kube-system", "resourceVersion": "1"}, "data": data}
    return {"kind": "ConfigMapList", "metadata": {"resourceVersion": "1"}, "items": [item]}


def review_token(document: Mapping[str, Any]) -> dict[str, Any]:
    """Know one token."""
    if document["spec"]["token"] != "good":
        return {"status": {"authenticated": False, "error": "invalid bearer token"}}
    user = {"username": NOBODY.name, "uid": NOBODY.uid, "groups": list(NOBODY.groups)}
    return {"status": {"authenticated": True, "user": user}}


class Reviewing(FakeCluster):
    """The small cluster, told what the tests need; `decide` may be replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.decide: Callable[[Mapping[str, Any]], Answer] = reference_decision
        for path, body in json.loads(DISCOVERY.read_text()).items():
            self.answer(path, body, media_type=AGGREGATED)
        self.answer(CONFIG_MAPS, config_maps())
        self.answer(TOKEN_REVIEWS, review_token)
        self.answer(ACCESS_REVIEWS, self._review)

    def _review(self, document: Mapping[str, Any]) -> dict[str, Any]:
        decision = self.decide(document["spec"])
        return {"status": {"allowed": decision.allowed, "reason": decision.reason}}

    @property
    def access_reviews(self) -> list[Mapping[str, Any]]:
        """The specs of all reviews of access."""
        return [each["spec"] for each in self.posted if each["kind"] == "SubjectAccessReview"]


@pytest.fixture(name="reviewing")
def _reviewing() -> Iterator[Reviewing]:
    cluster = Reviewing()
    yield cluster
    cluster.close()


def write_kubeconfig(cluster: FakeCluster, folder: Path) -> Path:
    """Write how the cluster is reached."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": {"server": cluster.url}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def start_server(cluster: FakeCluster, folder: Path, **settings: str) -> MetricsServer:
    """Start a server of a cluster."""
    variables = environ(**{"kubeconfig": str(write_kubeconfig(cluster, folder)), "provider": "writable", **settings})
    server = create_app(settings_from(variables))
    server.start()
    return server


def wait_until_ready(server: MetricsServer) -> None:
    """Wait until a server knows the CAs and the resources of its cluster."""
    wait_until(lambda: server.authentication_check() is None and server.cluster.check() is None)


@pytest.fixture(name="make_cluster_server")
def _make_cluster_server(reviewing: Reviewing, tmp_path: Path) -> Iterator[Callable[..., MetricsServer]]:
    """Make started servers of the small cluster."""
    started = []

    def make(**settings: str) -> MetricsServer:
        started.append(start_server(reviewing, tmp_path, **settings))
        return started[-1]

    yield make
    for server in started:
        server.stop()


@pytest.fixture(name="cluster_server")
def _cluster_server(make_cluster_server: Callable[..., MetricsServer]) -> MetricsServer:
    server = make_cluster_server()
    wait_until_ready(server)
    return server


@pytest.fixture(name="ask")
def _ask(cluster_server: MetricsServer) -> Ask:
    return asker(cluster_server)


def asker(server: MetricsServer) -> Ask:
    """Ask a server as the worker does: with the header fields as they came, and the peer's certificate."""
    client = Client(server)

    def ask(
        target: str,
        pairs: Sequence[tuple[str, str]] = (),
        certificate: Certificate | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
    ) -> TestResponse:
        raw, _, query = target.partition("?")
        overrides = {
            "RAW_URI": target,
            "PATH_INFO": unquote(raw, "latin-1"),
            "QUERY_STRING": query,
            HEADER_PAIRS: tuple(pairs),
            PEER_CERTIFICATE: der(certificate) if certificate else None,
        }
        return client.open("/", method=method, data=body, environ_overrides=overrides)

    return ask


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
