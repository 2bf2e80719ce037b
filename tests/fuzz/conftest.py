"""One real server for all that is thrown at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance import recorded
from tests.live.server import LiveServer


@pytest.fixture(name="server", scope="package")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server on the recorded cluster's objects and values; its end is clean, and its log without a traceback."""
    flags = ("--provider=writable", f"--objects={recorded.CLUSTER_YAML}", "-v=4")
    with LiveServer(tmp_path_factory.mktemp("fuzz"), *flags) as server:
        recorded.write_all(server.ask)
        yield server
        assert server.ask("GET", "/livez", {}).status == 200
