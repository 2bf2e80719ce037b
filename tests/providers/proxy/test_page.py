"""docs/proxy.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metrics_apiserver import registry
from metrics_apiserver.configuration import read
from metrics_apiserver_providers.shadow.comparison import Result

PAGE = (Path(__file__).parents[3] / "docs" / "proxy.md").read_text(encoding="utf-8")
FILES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", FILES)
def test_configuration_files_of_the_page_are_right(text: str, tmp_path: Path) -> None:
    """As --config, each has no problem: settings, kinds and options."""
    config = tmp_path / "config.yaml"
    config.write_text(text, encoding="utf-8")
    settings, problems = read({"METRICS_APISERVER_CONFIG": str(config)})
    assert problems + registry.check(settings.providers) == []
    assert settings.providers


def test_page_names_every_result() -> None:
    """In the order in which they count."""
    (sentence,) = [line for line in PAGE.split("\n- ") if line.startswith("`metrics_apiserver_shadow_comparisons")]
    named = [name for name in re.findall(r"`(\w+)`", sentence) if name in set(Result)]
    assert named == list(Result)
