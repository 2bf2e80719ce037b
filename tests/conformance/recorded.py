"""The recorded answers of the Go reference, and where ours differ from them on purpose.

`replay` asks any server (in-process, over a socket, in a cluster); `cases()` is the table to parametrize with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.waiting import wait_until

FOLDER = Path(__file__).parent
CLUSTER_YAML = FOLDER / "cluster.yaml"

_TIME = re.compile(r'("timestamp": ?)"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"')
_YAML_TIME = re.compile(r'(timestamp: )"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"')
NOT_FOUND = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "the server could not find the requested resource",
    "reason": "NotFound",
    "details": {},
    "code": 404,
}


@dataclass(frozen=True)
class Answer:
    """What a server answered: the media type with its parameters, and the body with times replaced."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, `<time>` for every timestamp."""
        return json.loads(_TIME.sub(r'\1"<time>"', self.body.decode()))

    @property
    def text(self) -> str:
        """The body as text, `<time>` for every timestamp of YAML."""
        return _YAML_TIME.sub(r'\1"<time>"', self.body.decode())


# Sends method, path (as it is, not encoded again), headers and body; gives the answer.
Ask = Callable[[str, str, dict[str, str], bytes], Answer]


def _load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


CASES: list[dict[str, Any]] = _load("cases.json")
WRITES: dict[str, Any] = _load("writes.json")


def cases() -> list[Any]:
    """Give every recorded case with an id that says what is asked."""
    table = []
    for number, case in enumerate(CASES):
        accept = case["headers"].get("Accept", "")
        suffix = "" if accept in ("", "application/json") else f" as {accept}"
        table.append(pytest.param(case, id=f"{number} {case['method']} {case['path']}{suffix}"))
    return table


def write_all(ask: Ask) -> None:
    """Write what the reference was written; one of them is a difference and is refused here."""
    for write in WRITES["accepted_in_order"]:
        answer = ask("POST", write["path"], {"Content-Type": "application/json"}, json.dumps(write["body"]).encode())
        refused_here = "/nonsense/" in write["path"]
        assert answer.status == (404 if refused_here else 200), (write, answer)
        assert refused_here or answer.body == b""


def wait_until_listed(ask: Ask) -> None:
    """Wait until discovery has followed the last write."""
    last = [b"namespaces/work-queue-length", b"pods/neg"]

    def listed() -> bool:
        body = ask("GET", "/apis/custom.metrics.k8s.io/v1beta2", {}, b"").body
        return all(name in body for name in last)

    wait_until(listed, 10, "discovery did not list what was written")


def check(case: dict[str, Any], answer: Answer) -> None:
    """Hold an answer against the record, or against the named difference."""
    named = difference(case)
    if named is None:
        _check_same(case, answer)
    else:
        DIFFERENCES[named](case, answer)


def _check_same(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type) == (case["status"], case["content_type"])
    expected = case["body"]
    if case["content_type"] == "application/json" and case["method"] != "HEAD":
        assert answer.json == expected
    else:
        assert answer.text == expected


def difference(case: dict[str, Any]) -> str | None:
    """Name the row of the table of differences that a case belongs to; None where the answers are the same."""
    accept = case["headers"].get("Accept", "")
    for pattern, name in _DIFFERENT_PATHS:
        if re.fullmatch(pattern, case["path"]):
            if name == "every version in discovery" and "apidiscovery" in accept:
                return "aggregated discovery with content"
            return name
    if case["content_type"] == "application/vnd.kubernetes.protobuf":
        return "protobuf is answered as JSON"
    return "406 names our media types" if case["status"] == 406 else None


_V = "/apis/custom.metrics.k8s.io/v1beta[12]"
_DIFFERENT_PATHS = [
    (rf"{_V}/?", "discovery lists what was written"),
    (r"/apis/external.metrics.k8s.io/v1beta1/?", "discovery lists what was written"),
    (r"/apis/?|/apis/(custom|external)\.metrics\.k8s\.io/?", "every version in discovery"),
    (rf"{_V}/namespaces/(shop|\*)/metrics/work-queue-length", "a namespace's own metric is read back"),
    (rf"{_V}/namespaces/shop/(po|nonsense|nonsense\.example\.com)/.*", "an unknown resource is 404"),
    (rf"{_V}/.*metricLabelSelector=path%3D/a", "a bad metricLabelSelector is 400"),
    (r"/(api|nope|configz|flagz|statusz|debug/pprof/|apis/nope\.k8s\.io)", "a missing path is a 404 Status"),
    (r"/|/version|/metrics|/openapi/v[23]|/readyz\?verbose", "our own content in the same shape"),
]


def _discovery(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type) == (200, "application/json")
    document = answer.json
    path = case["path"].rstrip("/").removeprefix("/apis/")
    group_version = document["groupVersion"]
    assert {**document, "resources": []} == {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": path,
        "resources": [],
    }
    listed = {(entry["name"], entry["namespaced"]) for entry in document["resources"]}
    if group_version.startswith("external"):
        assert listed == {("my-external-metric", True), ("other-external-metric", True)}
        kind = "ExternalMetricValueList"
    else:
        assert {
            ("pods/packets-per-second", True),
            ("services/requests-per-second", True),
            ("deployments.apps/queue-depth", True),
            ("nodes/temperature", False),
            ("namespaces/work-queue-length", False),
        } <= listed
        kind = "MetricValueList"
    assert document["resources"] == sorted(document["resources"], key=lambda entry: entry["name"])
    for entry in document["resources"]:
        assert entry == {**entry, "singularName": "", "kind": kind, "verbs": ["get"]}


_GROUPS = {
    "custom.metrics.k8s.io": ["v1beta2", "v1beta1"],
    "external.metrics.k8s.io": ["v1beta1"],
}


def _group(name: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in _GROUPS[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _groups(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type) == (200, "application/json")
    path = case["path"].rstrip("/")
    if path == "/apis":
        expected = {"kind": "APIGroupList", "groups": [_group(name) for name in _GROUPS]}
    else:
        expected = {"kind": "APIGroup", "apiVersion": "v1", **_group(path.removeprefix("/apis/"))}
    assert answer.json == expected


def _aggregated(case: dict[str, Any], answer: Answer) -> None:
    accept = case["headers"]["Accept"]
    version = "v2" if "v=v2;" in accept else "v2beta1"
    assert answer.status == 200
    assert answer.content_type == f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    document = answer.json
    assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}")
    found = {
        group["metadata"]["name"]: [(row["version"], row["freshness"]) for row in group["versions"]]
        for group in document["items"]
    }
    assert found == {name: [(version, "Current") for version in versions] for name, versions in _GROUPS.items()}
    for group in document["items"]:
        for row in group["versions"]:
            _check_aggregated_version(group["metadata"]["name"], row)


def _check_aggregated_version(group: str, row: dict[str, Any]) -> None:
    kind = "MetricValueList" if group.startswith("custom") else "ExternalMetricValueList"
    response_kind = {"group": group, "version": row["version"], "kind": kind}
    resources = {entry["resource"]: entry for entry in row["resources"]}
    placeholder = "custommetrics" if group.startswith("custom") else "externalmetrics"
    assert resources[placeholder]["responseKind"] == response_kind
    if group.startswith("external"):
        assert {"my-external-metric", "other-external-metric", placeholder} == set(resources)
        return
    pods, nodes = resources["pods"], resources["nodes"]
    assert (pods["scope"], nodes["scope"]) == ("Namespaced", "Cluster")
    assert "responseKind" not in pods
    assert {"subresource": "packets-per-second", "responseKind": response_kind, "verbs": ["get"]} in pods[
        "subresources"
    ]


def _namespace_metric(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type) == (200, "application/json")
    version = case["path"].split("/")[3]
    named = (
        {"metricName": "work-queue-length", "selector": None}
        if version == "v1beta1"
        else {"metric": {"name": "work-queue-length", "selector": None}}
    )
    shop = {"kind": "Namespace", "name": "shop", "apiVersion": "/v1"}
    assert answer.json == {
        "kind": "MetricValueList",
        "apiVersion": f"custom.metrics.k8s.io/{version}",
        "metadata": {},
        "items": [{"describedObject": shop, **named, "timestamp": "<time>", "value": "9"}],
    }


def _unknown_resource(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type) == (404, "application/json")
    status = answer.json
    words = "no matches for " + case["body"]["message"].partition("no matches for ")[2]
    assert status["message"].startswith(f"{words}; known resources: ")
    assert "pods" in status["message"]
    assert (status["reason"], status["code"]) == ("NotFound", 404)


def _bad_metric_label_selector(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert answer.json == {**case["body"], "reason": "BadRequest", "code": 400}


def _missing_path(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type, answer.json) == (404, "application/json", NOT_FOUND)


def _own_content(case: dict[str, Any], answer: Answer) -> None:
    assert answer.status == case["status"]
    assert answer.content_type.partition(";")[0] == case["content_type"].partition(";")[0]
    match case["path"]:
        case "/":
            assert {"/apis", "/healthz", "/openapi/v2", "/version"} <= set(answer.json["paths"])
        case "/version":
            ours = answer.json
            assert {"major", "minor", "gitVersion", "gitCommit", "buildDate", "compiler", "platform"} <= set(ours)
            assert all(isinstance(value, str) for value in ours.values())
        case "/openapi/v2":
            assert answer.json["swagger"] == "2.0"
        case "/openapi/v3":
            paths = answer.json["paths"]
            assert set(paths) >= {"apis/custom.metrics.k8s.io/v1beta2", "apis/external.metrics.k8s.io/v1beta1"}
            for path, entry in paths.items():
                assert entry["serverRelativeURL"].startswith(f"/openapi/v3/{path}?hash=")
        case "/metrics":
            assert "process_cpu_seconds_total" in answer.text
        case _:
            lines = answer.text.splitlines()
            assert lines[-1] == "readyz check passed"
            assert all(re.fullmatch(r"\[\+\]\S+ ok", line) for line in lines[:-1])
            assert "[+]ping ok" in lines


def _protobuf(case: dict[str, Any], answer: Answer) -> None:
    """The same as this path's JSON record, where there is one; elsewhere the JSON of the right kind."""
    assert (answer.status, answer.content_type) == (case["status"], "application/json")
    for other in CASES:
        same_path = (other["path"], other["method"]) == (case["path"], case["method"])
        if same_path and other["content_type"] == "application/json" and difference(other) is None:
            assert answer.json == other["body"]
            return
    raise AssertionError(f"no JSON record of {case['path']} to compare with")


def _not_acceptable(case: dict[str, Any], answer: Answer) -> None:
    assert (answer.status, answer.content_type) == (406, "application/json")
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "only the following media types are accepted: application/json, application/yaml",
        "reason": "NotAcceptable",
        "code": 406,
    }


DIFFERENCES: dict[str, Callable[[dict[str, Any], Answer], None]] = {
    "discovery lists what was written": _discovery,
    "every version in discovery": _groups,
    "aggregated discovery with content": _aggregated,
    "a namespace's own metric is read back": _namespace_metric,
    "an unknown resource is 404": _unknown_resource,
    "a bad metricLabelSelector is 400": _bad_metric_label_selector,
    "a missing path is a 404 Status": _missing_path,
    "our own content in the same shape": _own_content,
    "protobuf is answered as JSON": _protobuf,
    "406 names our media types": _not_acceptable,
}
