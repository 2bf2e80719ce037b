"""What a real cluster sends, with all its headers: each request is answered as its sender needs it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import Client

from tests.conformance.recorded import FOLDER
from tests.conftest import asker

TRAFFIC: list[dict[str, Any]] = json.loads((FOLDER / "traffic.json").read_text(encoding="utf-8"))


def sender(request: dict[str, Any]) -> str:
    headers = request["headers"]
    return f"{headers.get('X-Remote-User', '')} {headers.get('User-Agent', '').partition('/')[0]} {request['path']}"


@pytest.mark.parametrize("request_", TRAFFIC, ids=sender)
def test_request_of_the_cluster_is_answered(request_: dict[str, Any], client: Client) -> None:
    """The aggregator's checks and reads, and the autoscaler's, which prefers protobuf and takes JSON."""
    ask = asker(client)
    assert ask("POST", "/write-metrics/namespaces/default/services/web/rps", {}, b'"1"').status == 200
    # What differs from request to request was left out of the record.
    headers = {name: value.replace("\u2026", "x") for name, value in request_["headers"].items()}
    answer = ask(request_["method"], request_["path"], headers)
    assert answer.status == 200
    expected = headers.get("Accept", "").partition(",")[0]
    aggregated = "as=APIGroupDiscoveryList" in expected
    assert answer.content_type == (expected if aggregated else "application/json")
    assert answer.json["kind" if "openapi" not in request_["path"] else "swagger"]
