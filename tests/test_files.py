"""Following files: what happens in their folders, and what goes wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from metrics_apiserver.files import FileFollower
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER


def test_a_mistake_of_who_is_told_does_not_end_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would start the thread again."""
    file = tmp_path / "file"
    told: list[str] = []

    def changed() -> None:
        text = file.read_text() if file.exists() else ""
        if text == "wrong":
            raise ValueError(text)
        told.append(text)

    follower = FileFollower([str(file)], changed, LOGGER, name="test-files")
    follower.start()
    try:
        file.write_text("wrong")
        wait_until(lambda: "test-files: a change could not be looked at" in caplog.text, 10, "nothing was logged")
        file.write_text("right")
        wait_until(lambda: "right" in told, 10, "the file is not followed any more")
    finally:
        follower.stop()
    assert {record.levelno for record in caplog.records if record.name == LOGGER.name} == {logging.ERROR}
