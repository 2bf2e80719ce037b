"""The pages say what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from metrics_apiserver import registry
from metrics_apiserver.configuration import read
from tests.configuration_page import PAGE, render

DOCS = Path(__file__).parents[1] / "docs"
RUNNING = (DOCS / "running.md").read_text(encoding="utf-8")


def test_configuration_page_is_what_the_code_says() -> None:
    """Settings, and the options of the shipped providers; `make docs` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_configuration_files_of_the_page_are_right(tmp_path: Path) -> None:
    """Each YAML block of the page, as --config, has no problem: settings, kinds and options."""
    files = re.findall(r"```yaml\n(.*?)```", RUNNING, re.DOTALL)
    assert len(files) == 3
    for text in files:
        config = tmp_path / "config.yaml"
        config.write_text(text, encoding="utf-8")
        settings, problems = read({"METRICS_APISERVER_CONFIG": str(config)})
        assert problems + registry.check(settings.providers) == []


def _named_tests() -> list[str]:
    return sorted(set(re.findall(r"`(tests/[^`]+)`", (DOCS / "security.md").read_text(encoding="utf-8"))))


@pytest.mark.parametrize("named", _named_tests())
def test_threat_model_names_tests_that_exist(named: str) -> None:
    """A file, or a class or function in it, at any depth."""
    file, *names = named.split("::")
    found: list[ast.AST] = [ast.parse((DOCS.parent / file).read_text(encoding="utf-8"))]
    for name in names:
        inner = [child for node in found for child in ast.iter_child_nodes(node)]
        found = [each for each in inner if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name]
        assert found, f"{file} has no {name}"
