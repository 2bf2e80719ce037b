"""Every recorded request over a real TLS socket, against the server as users start it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import recorded
from tests.live.server import LiveServer


@pytest.fixture(name="written", scope="module")
def _written(live: LiveServer) -> LiveServer:
    """The live server after the writes of the record."""
    recorded.write_all(live.ask)
    recorded.wait_until_listed(live.ask)
    return live


@pytest.mark.parametrize("case", recorded.cases())
def test_recorded_answer_or_its_named_difference(case: dict[str, Any], written: LiveServer) -> None:
    """Status, content type and body over TLS are the reference's, or differ as the table of differences says."""
    recorded.check(case, written.ask(case["method"], case["path"], case["headers"]))
