"""Requests made from our own OpenAPI documents, good and bad: every answer is one that the document promises."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.live.server import LiveServer

DOCUMENTS = [
    "apis/custom.metrics.k8s.io/v1beta1",
    "apis/custom.metrics.k8s.io/v1beta2",
    "apis/external.metrics.k8s.io/v1beta1",
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, id=f"{mode.value} requests") for mode in schemathesis.GenerationMode]
)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_answer_is_one_that_the_document_promises(
    server: LiveServer, name: str, mode: schemathesis.GenerationMode
) -> None:
    """No 500, no answer of another form, and none that takes longer than a request may."""
    document = json.loads(server.ask("GET", f"/openapi/v3/{name}", {}).text)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server.url)
    operations = [operation.ok() for operation in schema.get_all_operations()]
    assert operations

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        response = case.call(timeout=10, verify=str(server.ca_file))
        case.validate_response(response, checks=CHECKS)
        assert "Traceback" not in response.text

    run()
