"""A live server that holds what the reference held when it was recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.recorded import CLUSTER_YAML
from tests.live.server import LiveServer


@pytest.fixture(name="live", scope="module")
def _live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Standalone on the recorded objects, with the writable provider; nothing is written yet."""
    folder = tmp_path_factory.mktemp("live")
    with LiveServer(folder, f"--objects={CLUSTER_YAML}", "--provider=writable") as server:
        yield server
