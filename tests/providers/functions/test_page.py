"""docs/functions.md and the README: their code is the example's, and the commands work."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.controlplane.waiting import wait_until
from tests.packaging.pages import ROOT, Follower, blocks, steps

PAGE = ROOT / "docs" / "functions.md"
EXAMPLE = ROOT / "examples" / "functions.py"


def functions_of(text: str) -> str:
    """Give the declarations, without what is above them."""
    return text[text.index("metrics = Metrics()") :].strip()


def test_page_and_readme_show_the_examples_functions() -> None:
    """The three do not drift apart."""
    (page,) = (block.text for block in blocks(PAGE) if block.language == "python")
    example = EXAMPLE.read_text(encoding="utf-8")
    assert functions_of(page) in example
    assert functions_of(page) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_commands_of_the_page_serve_its_code(tmp_path: Path) -> None:
    """The file is written as it stands, served, and read by curl."""
    (code,) = (block.text for block in blocks(PAGE) if block.language == "python")
    (tmp_path / "queues.py").write_text(code, encoding="utf-8")
    serve, depth, sessions = (step.command for step in steps(PAGE))
    with Follower(tmp_path, Path(sys.executable).parent) as follower:
        follower.run(serve)
        server = follower.server
        assert server is not None
        path = depth.partition("https://127.0.0.1:6443")[2].strip("'")
        wait_until(lambda: server.ask("GET", path, {}).status == 200, 10, server.log)
        assert [item["value"] for item in json.loads(follower.run(depth))["items"]] == ["30"]
        found = json.loads(follower.run(sessions))["items"]
        assert {item["describedObject"]["name"] for item in found} >= {"web-0", "web-1"}
        assert {item["value"] for item in found} == {"7"}
