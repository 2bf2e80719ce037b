"""One request to a cluster, and what becomes of its failures."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.config import load_client
from tests.kube.conftest import FakeCluster


def test_an_answer_comes_with_its_media_type(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer("/version", {"major": "1"}, media_type="application/json;x=y")
    assert client.get_json("/version", query={"a": "b c"}) == ("application/json;x=y", {"major": "1"})
    path, query, headers = fake_cluster.requests[0]
    assert (path, query) == ("/version", {"a": "b c"})
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("metrics-apiserver/")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        pytest.param(403, {"kind": "Status", "message": "no"}, "403 Forbidden: no", id="a Status is quoted"),
        pytest.param(
            500, {"kind": "Status", "message": "x" * 999}, f"500 Internal Server Error: {'x' * 256}", id="cut"
        ),
        pytest.param(502, {"kind": "Other", "message": "secret"}, "502 Bad Gateway", id="another kind is not quoted"),
        pytest.param(503, b"<html>secret", "503 Service Unavailable", id="a proxy's page is not quoted"),
        pytest.param(404, {"kind": "Status"}, "404 Not Found", id="a Status without a message"),
        pytest.param(302, b"", "302 Found", id="a redirect is not followed"),
        pytest.param(599, b"", "599", id="a status without a name"),
        pytest.param(204, b"", "204 No Content", id="an empty success is not an answer"),
    ],
)
def test_a_refusal_is_one_error(
    client: ClusterClient, fake_cluster: FakeCluster, status: int, body: object, message: str
) -> None:
    fake_cluster.answer("/x", body, status=status)
    with pytest.raises(ClusterError) as caught:
        client.get_json("/x")
    assert str(caught.value) == f"GET /x: {message}"
    assert caught.value.status == status
    assert fake_cluster.paths == ["/x"]


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b"null", b"\xff"])
def test_what_is_no_json_object_is_an_error(client: ClusterClient, fake_cluster: FakeCluster, body: bytes) -> None:
    fake_cluster.answer("/x", body)
    with pytest.raises(ClusterError, match="GET /x: the answer is not a JSON object"):
        client.get_json("/x")


def test_a_cluster_that_is_not_there_is_an_error_without_a_status(
    client: ClusterClient, fake_cluster: FakeCluster
) -> None:
    fake_cluster.close()
    with pytest.raises(ClusterError, match=r"GET /x: .*refused") as caught:
        client.get_json("/x")
    assert caught.value.status is None
    assert caught.value.__cause__ is not None


def test_a_token_that_fits_no_header_does_not_leak(kubeconfig: Path) -> None:
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"]["token"] = "secret\nX: y"
    kubeconfig.write_text(yaml.safe_dump(document))
    client = ClusterClient(load_client(str(kubeconfig)))
    with pytest.raises(ClusterError, match="GET /x: the credentials cannot be sent in a header") as caught:
        client.get_json("/x")
    assert caught.value.__cause__ is None
    client.close()


def test_a_token_file_that_is_gone_is_an_error(kubeconfig: Path) -> None:
    token = kubeconfig.parent / "token"
    token.write_text("secret")
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"] = {"tokenFile": "token"}
    kubeconfig.write_text(yaml.safe_dump(document))
    client = ClusterClient(load_client(str(kubeconfig)))
    token.unlink()
    with pytest.raises(ClusterError, match=r"GET /x: .*No such file"):
        client.get_json("/x")
    client.close()
