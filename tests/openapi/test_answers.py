"""The definitions against what is served: every recorded request's answer, and every path of the documents."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from werkzeug.test import Client

from metrics_apiserver.schemas.table import API_VERSIONS
from tests.conformance.recorded import CASES
from tests.conftest import asker

READS = sorted(
    {
        case["path"]
        for case in CASES
        if case["method"] == "GET" and case["path"].startswith("/apis/") and case["path"].count("/") > 3
    }
)
NAMES = {"resource": "pods", "name": "*", "namespace": "shop", "metric": "packets-per-second"}
# Where those name nothing: at the cluster's scope, and a namespace's own metric.
OTHER_NAMES = {
    "/{resource}/{name}/{metric}": {"resource": "nodes", "metric": "temperature"},
    "/namespaces/{namespace}/metrics/{metric}": {"metric": "work-queue-length"},
}


def closed(schema: Any) -> Any:
    """Forbid, in a copy, the fields that a definition does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: closed(part) for key, part in schema.items()}
    return {**copy, "additionalProperties": False} if isinstance(copy.get("properties"), dict) else copy


def check(document: dict[str, Any], response: dict[str, Any], answer: Any) -> None:
    """Hold an answer against a response's schema; a field that the definition does not name fails too."""
    schema = {**response["content"]["application/json"]["schema"], "components": closed(document["components"])}
    errors = [f"{error.json_path}: {error.message}" for error in OAS30Validator(schema).iter_errors(answer)]
    assert not errors


def document_of(client: Client, group_version: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(client.get(f"/openapi/v3/apis/{group_version}").data)
    return document


@pytest.mark.parametrize("path", READS)
def test_recorded_read_is_as_defined(written: Client, path: str) -> None:
    """The list of its version, or the Status of a failure."""
    group_version = "/".join(path.split("/")[2:4]).partition("?")[0]
    document = document_of(written, group_version)
    responses = document["paths"][f"/apis/{group_version}/"]["get"]["responses"]
    if path.partition("?")[0].strip("/") != f"apis/{group_version}":
        responses = next(item for name, item in document["paths"].items() if name.endswith("/{metric}"))["get"][
            "responses"
        ]
    answer = asker(written)("GET", path, {"Accept": "application/json"})
    check(document, responses["200" if answer.status == 200 else "default"], json.loads(answer.body))


@pytest.mark.parametrize("row", API_VERSIONS, ids=lambda row: row.group_version)
def test_every_path_is_served_and_answers_as_defined(written: Client, row: Any) -> None:
    """The templates are paths of the grammar: filled in, none of them is an unknown path."""
    document = document_of(written, row.group_version)
    for template, item in document["paths"].items():
        relative = template.removeprefix(f"/apis/{row.group_version}")
        path = template.format(**{**NAMES, **OTHER_NAMES.get(relative, {})})
        answer = asker(written)("GET", path, {})
        assert answer.status == 200, (path, answer.text)
        assert [f"{{{parameter['name']}}}" for parameter in item.get("parameters", [])] == re.findall(
            r"{\w+}", template
        )
        check(document, item["get"]["responses"]["200"], json.loads(answer.body))


def test_check_fails_on_what_is_not_defined(written: Client) -> None:
    """The proof that the tests above can fail: a wrong type, a missing field, a field too much."""
    document = document_of(written, "custom.metrics.k8s.io/v1beta2")
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/{resource}/{name}/{metric}"
    response = document["paths"][path]["get"]["responses"]["200"]
    answer = written.get(path.format(**{**NAMES, "name": "cart-0"})).json
    assert answer is not None
    for change in ({"value": 1}, {"windowSeconds": "1"}, {"unknown": 1}, {"timestamp": None}, {"metric": {}}):
        item = {**answer["items"][0], **change}
        with pytest.raises(AssertionError):
            check(document, response, {**answer, "items": [item]})
    check(document, response, answer)
