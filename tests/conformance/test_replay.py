"""Every recorded request, asked of our server in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client

from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app
from tests.conformance import recorded
from tests.conformance.recorded import Ask
from tests.conftest import asker, environ


@pytest.fixture(name="ask", scope="module")
def _ask() -> Iterator[Ask]:
    """A started server that was written what the reference was written."""
    server = create_app(settings_from(environ(objects=str(recorded.CLUSTER_YAML), provider="writable")))
    server.start()
    ask = asker(Client(server))
    recorded.write_all(ask)
    recorded.wait_until_listed(ask)
    yield ask
    server.stop()


@pytest.mark.parametrize("case", recorded.cases())
def test_recorded_answer_or_its_named_difference(case: dict[str, Any], ask: Ask) -> None:
    """Status, content type and body are the reference's, or differ as the table of differences says."""
    recorded.check(case, ask(case["method"], case["path"], case["headers"], b""))


def test_every_named_difference_is_seen_in_the_record() -> None:
    """No difference is kept for a case that does not exist."""
    assert {recorded.difference(case) for case in recorded.CASES} - {None} == set(recorded.DIFFERENCES)


@pytest.mark.parametrize("write", recorded.WRITES["rejected"], ids=lambda write: f"{write['path']} {write['body']}")
def test_rejected_write_is_rejected(write: dict[str, Any], ask: Ask) -> None:
    """What the reference refuses to be written is refused with its code and a Status."""
    answer = ask("POST", write["path"], {}, json.dumps(write["body"]).encode())
    assert answer.status == write["status"]
    assert answer.json["reason"] == "BadRequest"
