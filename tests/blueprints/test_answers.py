"""What every answer has, and how failures leave."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable

import pytest
import yaml
from werkzeug.test import Client

from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.server import MetricsServer
from tests.conformance.recorded import NOT_FOUND
from tests.conftest import asker

READ = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/cart-0/packets-per-second"
PATHS = ["/apis", READ, "/nope", "/readyz", "/openapi/v2", "/metrics", "/version", "/"]


@pytest.mark.parametrize("path", PATHS)
def test_common_headers(written: Client, path: str) -> None:
    """Every answer, also a failure, has an audit id and may not be cached or sniffed."""
    headers = written.get(path).headers
    assert uuid.UUID(headers["Audit-Id"]).version == 4
    assert headers["Cache-Control"] == "no-cache, private"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        pytest.param("0b6d6d5c-4dc5-4b2c-a3cd-c7ec4ed0d1f1", True, id="a UUID"),
        pytest.param("req_1.a-B", True, id="another id"),
        pytest.param("a" * 129, False, id="too long"),
        pytest.param("a b", False, id="a space"),
        pytest.param('"><script>', False, id="markup"),
        pytest.param("", False, id="empty"),
    ],
)
def test_audit_id_of_the_request_is_taken_over_when_well_formed(client: Client, given: str, taken: bool) -> None:
    """It is logged and sent back: it must look like an id."""
    answered = client.get("/apis", headers={"Audit-Id": given}).headers["Audit-Id"]
    assert (answered == given) is taken


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/nope", id="no such path"),
        pytest.param("/apis/custom.metrics.k8s.io/v9/namespaces/shop/pods/x/y", id="no such version"),
        pytest.param("/apis/nope.k8s.io/v1", id="no such group"),
        pytest.param("/apis/custom.metrics.k8s.io/v1beta2//namespaces/shop/pods/cart-0/rps", id="a double slash"),
        pytest.param("//apis", id="a double slash in front"),
        pytest.param("/apis//", id="a double slash behind"),
        pytest.param("/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/a%2Fb/rps", id="an encoded slash"),
        pytest.param("/readyz/nope", id="no such check"),
        pytest.param("/openapi/v3/apis/nope", id="no such document"),
        pytest.param("/static/x", id="no static files"),
    ],
)
def test_missing_path_is_a_status(client: Client, path: str) -> None:
    """404 with the apiserver's words."""
    answer = asker(client)("GET", path, {})
    assert (answer.status, answer.content_type, answer.json) == (404, "application/json", NOT_FOUND)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", [READ, "/apis", "/apis/custom.metrics.k8s.io/v1beta2", "/openapi/v2", "/version"])
def test_only_get_is_allowed(client: Client, path: str, method: str) -> None:
    """Another method is 405 with a Status."""
    response = client.open(path, method=method)
    assert (response.status_code, response.headers["Content-Type"]) == (405, "application/json")
    if method != "HEAD":
        assert response.json is not None
        assert response.json["reason"] == "MethodNotAllowed"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("application/yaml", "application/yaml", id="YAML"),
        pytest.param("application/json", "application/json", id="JSON"),
        pytest.param("text/html", "application/json", id="what we cannot give"),
        pytest.param("application/json;q=0.5, application/yaml", "application/yaml", id="the liked best"),
        pytest.param("application/yaml;q=0, */*", "application/json", id="excluded"),
    ],
)
def test_failure_is_in_the_negotiated_format(client: Client, accept: str, content_type: str) -> None:
    """A client that reads YAML gets its failures in YAML; one that reads nothing of ours, in JSON."""
    response = client.get(READ, headers={"Accept": accept})
    assert response.headers["Content-Type"] == content_type
    read = yaml.safe_load if content_type.endswith("yaml") else json.loads
    assert read(response.text)["kind"] == "Status"


def test_bug_is_a_status_without_internals(
    server: MetricsServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns the audit id, the log has the traceback under it."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("a secret of the code")

    provider = server.providers[0].provider
    provider.get_metric_by_name = fail  # type: ignore[attr-defined]  # any provider may have such a bug
    with caplog.at_level(logging.ERROR):
        response = client.get(READ, headers={"Audit-Id": "my-id"})
    assert response.status_code == 502
    assert response.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": (
            "provider writable raised KeyError for packets-per-second of pods shop/cart-0;"
            " the server's log has it under the audit id my-id"
        ),
        "reason": "InternalError",
        "code": 502,
    }
    assert "my-id" in caplog.text
    assert "a secret of the code" in caplog.text


def test_provider_that_is_unavailable_is_503_with_its_sentence(server: MetricsServer, client: Client) -> None:
    """A StatusError of a provider leaves as it is."""

    def fail(*_: object, **__: object) -> None:
        raise ServiceUnavailableError("the queue's backend is away")

    server.providers[0].provider.get_metric_by_name = fail  # type: ignore[attr-defined]  # as above
    response = client.get(READ)
    assert response.json is not None
    assert (response.status_code, response.json["reason"], response.json["message"]) == (
        503,
        "ServiceUnavailable",
        "the queue's backend is away",
    )
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize(
    ("query", "agent", "indented"),
    [
        pytest.param("?pretty=true", "", True, id="asked for"),
        pytest.param("?pretty=1", "", True, id="asked for with 1"),
        pytest.param("?pretty=false", "curl/8", False, id="declined by curl"),
        pytest.param("", "curl/8", True, id="curl"),
        pytest.param("", "Mozilla/5.0 (X11)", True, id="a browser"),
        pytest.param("", "kubectl/v1.36", False, id="another program"),
        pytest.param("?pretty=maybe", "curl/8", False, id="nonsense"),
    ],
)
def test_indentation(written: Client, query: str, agent: str, indented: bool) -> None:
    """People's tools get it indented, as the reference does; programs get it compact with a newline."""
    body = written.get(READ + query, headers={"User-Agent": agent}).text
    assert ("\n  " in body) is indented
    assert body.endswith("}" if indented else "}\n")


def test_yaml_quotes_what_readers_would_take_for_something_else(written: Client) -> None:
    """`1e3` is a string here; readers of YAML 1.2 would take it for a number."""
    path = READ.replace("packets-per-second", "expo")
    assert 'value: "1e3"' in written.get(path, headers={"Accept": "application/yaml"}).text


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        pytest.param(f"http://any.example{READ}", "must be a path that begins with /", id="the absolute form"),
        pytest.param("*", "must be a path that begins with /", id="the asterisk"),
        pytest.param(f"{READ}#there", "write # as %23", id="a fragment"),
    ],
)
def test_a_target_that_is_no_path_is_a_bad_request(written: Client, target: str, sentence: str) -> None:
    """Whatever the server in front made of it."""
    response = written.get(READ, environ_overrides={"RAW_URI": target, "PATH_INFO": READ})
    assert (response.status_code, response.get_json()["reason"]) == (400, "BadRequest")
    assert sentence in response.get_json()["message"]
    assert response.headers["Audit-Id"]


def test_audit_ids_differ(client: Client) -> None:
    """Each request has its own."""
    assert client.get("/apis").headers["Audit-Id"] != client.get("/apis").headers["Audit-Id"]


def test_failure_while_discovery_is_limited(make_server: Callable[..., MetricsServer]) -> None:
    """What discovery does not list is served all the same."""
    client = Client(make_server(discovery_limit="1"))
    assert client.post("/write-metrics/namespaces/shop/pods/cart-0/a", data=b'"1"').status_code == 200
    assert client.post("/write-metrics/namespaces/shop/pods/cart-0/b", data=b'"1"').status_code == 200
    for metric in ("a", "b"):
        assert client.get(READ.replace("packets-per-second", metric)).status_code == 200
