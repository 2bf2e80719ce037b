"""docs/testing.md: its files, written as they stand into an empty folder, are tests that pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.packaging.pages import ROOT, blocks

PAGE = ROOT / "docs" / "testing.md"


def test_files_of_the_page_are_tests_that_pass(tmp_path: Path) -> None:
    """With pytest and the plugin, and nothing of this checkout's configuration."""
    for block in blocks(PAGE):
        (tmp_path / block.text.splitlines()[0].removeprefix("# ")).write_text(block.text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in tmp_path.glob("*.py")} == {"queues.py", "test_queues.py", "test_objects.py"}
