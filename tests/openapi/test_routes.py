"""How the documents are served: links, ETags, Accept."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from werkzeug.test import Client

from metrics_apiserver.schemas.table import API_VERSIONS

V3 = "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2"
PATHS = ["/openapi/v2", "/openapi/v3", V3]
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF_V3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"


def test_index_links_one_document_per_version_by_its_hash(client: Client) -> None:
    """The hash is the document's ETag; kube-apiserver and kubectl keep a document under its link."""
    paths = json.loads(client.get("/openapi/v3").data)["paths"]
    assert list(paths) == [f"apis/{row.group_version}" for row in API_VERSIONS]
    for path, entry in paths.items():
        link = entry["serverRelativeURL"]
        response = client.get(link)
        assert response.status_code == 200
        assert link == f"/openapi/v3/{path}?hash={response.headers['ETag'].strip(chr(34))}"


def test_document_of_another_hash_is_the_present_one(client: Client) -> None:
    """No redirect, which kube-apiserver would refuse to pass on; no-cache keeps the wrong link from being kept."""
    response = client.get(f"{V3}?hash=0")
    assert (response.status_code, response.data) == (200, client.get(V3).data)
    assert "no-cache" in response.headers["Cache-Control"]


@pytest.mark.parametrize("path", PATHS)
def test_headers(client: Client, path: str) -> None:
    """Quoted ETag, the time since when, Vary; the same ETag again is 304."""
    first = client.get(path)
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["ETag"].startswith('"')
    assert first.headers["Vary"] == "Accept"
    assert parsedate_to_datetime(first.headers["Last-Modified"])
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Vary"):
        assert again.headers[name] == first.headers[name]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("accept", "status"),
    [
        pytest.param(None, 200, id="nothing: the aggregator of v3"),
        pytest.param("", 200, id="empty"),
        pytest.param("application/json", 200, id="JSON: the aggregator of v2, kubectl explain"),
        pytest.param("application/json; charset=utf-8", 200, id="JSON with a parameter"),
        pytest.param("*/*", 200, id="anything: curl"),
        pytest.param("application/*", 200, id="any application"),
        pytest.param("application/json, */*", 200, id="kubectl get --raw"),
        pytest.param(f"{PROTOBUF_V2}, application/json;q=0.5", 200, id="protobuf before JSON"),
        pytest.param("text/html,application/xml;q=0.9,*/*;q=0.8", 200, id="a browser"),
        pytest.param(PROTOBUF_V2, 406, id="the protobuf of v2 alone"),
        pytest.param(PROTOBUF_V3, 406, id="the protobuf of v3 alone"),
        pytest.param("application/yaml", 406, id="YAML"),
        pytest.param("application/json;q=0", 406, id="JSON excluded"),
    ],
)
def test_accept(client: Client, path: str, accept: str | None, status: int) -> None:
    """JSON wherever a client reads it; else 406, never a body of another type."""
    headers: dict[str, Any] = {} if accept is None else {"Accept": accept}
    response = client.get(path, headers=headers)
    assert response.status_code == status
    if status == 200:
        assert response.headers["Content-Type"] == "application/json"
    else:
        # YAML for the client that reads it: a failure has the form of any other.
        assert "only the following media types are accepted: application/json" in response.text


def test_what_the_root_lists_is_served(client: Client) -> None:
    """What `/` lists of OpenAPI is served."""
    listed = [path for path in json.loads(client.get("/").data)["paths"] if path.startswith("/openapi/")]
    assert len(listed) == 2 + len(API_VERSIONS)
    for path in listed:
        assert client.get(path).status_code == 200
