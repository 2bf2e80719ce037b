"""Which configuration is used, and what is said about one that cannot be."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config

from metrics_apiserver.bounded_http import bounds_of
from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.config import ClusterConfigError, load_client
from metrics_apiserver.settings import in_cluster
from tests.kube.conftest import FakeCluster

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The folder that Kubernetes mounts into a pod."""
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("mounted")
    (folder / "ca.crt").write_text("a certificate")
    return folder


def write(path: Path, document: Any) -> str:
    """Write a kubeconfig, as text or from an object, and give its name."""
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return str(path)


def test_a_kubeconfig_says_where_and_who(kubeconfig: Path, fake_cluster: FakeCluster) -> None:
    client = load_client(str(kubeconfig), environ=POD)
    assert client.configuration.host == fake_cluster.url
    assert client.configuration.get_api_key_with_prefix("BearerToken") == "Bearer secret"
    client.close()


def test_files_of_a_kubeconfig_are_relative_to_it(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kubeconfig.parent / "ca.crt").write_text("a certificate")
    document = yaml.safe_load(kubeconfig.read_text())
    document["clusters"][0]["cluster"] = {"server": "https://127.0.0.1:1", "certificate-authority": "ca.crt"}
    monkeypatch.chdir("/")
    client = load_client(write(kubeconfig, document))
    assert client.configuration.ssl_ca_cert == str(kubeconfig.parent / "ca.crt")
    client.close()


def test_a_token_file_is_followed(kubeconfig: Path, fake_cluster: FakeCluster) -> None:
    token = kubeconfig.parent / "token"
    token.write_text("first\n")
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"] = {"tokenFile": "token"}
    client = ClusterClient(load_client(write(kubeconfig, document)))
    fake_cluster.answer("/x", {})
    client.get_json("/x")
    token.write_text("second\n")
    client.get_json("/x")
    client.close()
    assert [headers["Authorization"] for _, _, headers in fake_cluster.requests] == ["Bearer first", "Bearer second"]


BROKEN = [
    pytest.param("a: [", "not YAML (line 1)", id="no YAML"),
    pytest.param("", "not a kubeconfig: a mapping is expected", id="empty"),
    pytest.param("- a", "not a kubeconfig: a mapping is expected", id="a list"),
    pytest.param({"clusters": []}, "no current-context is set", id="no current context"),
    pytest.param({"current-context": "x"}, "not a usable kubeconfig", id="no contexts"),
    pytest.param({"current-context": "x", "contexts": []}, "not a usable kubeconfig", id="an unknown context"),
    pytest.param({"current-context": "x", "contexts": 5}, "not a usable kubeconfig", id="contexts of another shape"),
    pytest.param({"current-context": "x", "contexts": [5]}, "not a usable kubeconfig", id="a context of another shape"),
]


@pytest.mark.parametrize(("document", "sentence"), BROKEN)
def test_a_broken_kubeconfig_is_one_sentence(tmp_path: Path, document: Any, sentence: str) -> None:
    name = write(tmp_path / "broken", document)
    with pytest.raises(ClusterConfigError) as caught:
        load_client(name)
    assert str(caught.value).startswith(f"{name}: {sentence}")


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterConfigError, match="nowhere: No such file or directory"):
        load_client(str(tmp_path / "nowhere"))


def test_a_kubeconfig_without_a_server_means_no_other_one(kubeconfig: Path) -> None:
    document = yaml.safe_load(kubeconfig.read_text())
    document["clusters"][0]["cluster"] = {"insecure-skip-tls-verify": True}
    with pytest.raises(ClusterConfigError, match="names no server"):
        load_client(write(kubeconfig, document))


def test_a_yaml_error_quotes_nothing_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ClusterConfigError) as caught:
        load_client(write(tmp_path / "broken", "token: secret: more"))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_pod_uses_its_account_and_reads_the_token_again(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = load_client("", environ=POD, account=account)
    configuration = client.configuration
    assert configuration.host == "https://10.0.0.1:443"
    assert configuration.ssl_ca_cert == str(account / "ca.crt")
    assert configuration.get_api_key_with_prefix("BearerToken") == "bearer mounted"
    (account / "token").write_text("rotated")
    # The library's own clock: two minutes later its copy of the token is too old.
    later = SimpleNamespace(now=lambda: datetime.now() + timedelta(minutes=2))  # noqa: DTZ005 - as the library does
    monkeypatch.setattr(incluster_config, "datetime", SimpleNamespace(datetime=later, timedelta=timedelta))
    assert configuration.get_api_key_with_prefix("BearerToken") == "bearer rotated"
    client.close()


def test_a_pods_account_without_a_certificate_is_one_sentence(account: Path) -> None:
    (account / "ca.crt").unlink()
    with pytest.raises(ClusterConfigError, match=r"the pod's service account cannot be used: .* does not exist"):
        load_client("", environ=POD, account=account)


def test_nothing_else_is_ever_read(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    (home / ".kube" / "config").write_text(kubeconfig.read_text())
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with pytest.raises(ClusterConfigError, match="no kubeconfig is named, and this is not a pod"):
        load_client("", environ={}, account=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("environ", "mounted", "expected"),
    [
        pytest.param(POD, True, True, id="a pod"),
        pytest.param(POD, False, False, id="a pod without an account"),
        pytest.param({}, True, False, id="a token, but no address"),
        pytest.param({}, False, False, id="no pod"),
    ],
)
def test_a_pod_is_known_by_its_address_and_its_token(
    account: Path, environ: dict[str, str], mounted: bool, expected: bool
) -> None:
    if not mounted:
        (account / "token").unlink()
    assert in_cluster(environ, account=account) is expected


def test_a_cluster_that_is_gone_without_a_word_is_noticed(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    """Keepalive is on while a watch is silent, and small requests are not held back."""
    response = client.open("/api/v1/pods", accept="*/*", query={"watch": "true"}, seconds=60)
    connection = response.connection
    assert connection is not None
    options = {
        name: connection.sock.getsockopt(level, getattr(socket, name))
        for level, name in (
            (socket.SOL_SOCKET, "SO_KEEPALIVE"),
            (socket.IPPROTO_TCP, "TCP_NODELAY"),
            (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
        )
    }
    left = bounds_of(response).left()
    response.close()
    assert options == {"SO_KEEPALIVE": 1, "TCP_NODELAY": 1, "TCP_KEEPIDLE": 30}
    assert left is not None
    assert 30 < left <= 60


@pytest.mark.parametrize(
    ("url", "used"),
    [
        pytest.param("proxy.example:3128", "http://proxy.example:3128", id="without a scheme: HTTP, as for Go"),
        pytest.param("http://proxy.example:3128", "http://proxy.example:3128", id="HTTP"),
        pytest.param("https://proxy.example", "https://proxy.example", id="HTTPS"),
        pytest.param("10.0.0.1:3128", "http://10.0.0.1:3128", id="an address"),
        pytest.param("user:secret@proxy.example:3128", "http://user:secret@proxy.example:3128", id="with a password"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_proxy_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, url: str, used: str
) -> None:
    monkeypatch.setenv(variable, url)
    client = load_client(str(_kubeconfig(tmp_path)))
    assert client.configuration.proxy == used
    client.close()


@pytest.mark.parametrize("url", ["ftp://secret@proxy.example", "gopher://secret:1"])
def test_proxy_that_cannot_be_used_names_the_variable_and_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ClusterConfigError, match="the proxy of HTTPS_PROXY") as caught:
        load_client(str(_kubeconfig(tmp_path)))
    assert "secret" not in str(caught.value)


def _kubeconfig(folder: Path) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        "clusters: [{name: c, cluster: {server: 'https://cluster.example'}}]\n"
        "contexts: [{name: c, context: {cluster: c}}]\n"
        "current-context: c\n",
        encoding="utf-8",
    )
    return path
