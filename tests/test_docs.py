"""The pages say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import Setting, settings_table

DOCS = Path(__file__).parents[1] / "docs"
RUNNING = (DOCS / "running.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", settings_table(), ids=lambda setting: setting.flag)
def test_every_setting_has_its_row(setting: Setting) -> None:
    """Flag, variable and key, as they are."""
    row = f"| `{setting.flag}` | `{setting.variable}` | `{setting.key}` |"
    assert row in RUNNING


def test_no_row_names_a_setting_that_is_not_there() -> None:
    """A removed setting leaves the page too."""
    rows = [line for line in RUNNING.splitlines() if line.startswith("| `-")]
    extra = {"--provider", "--config"}
    assert {row.split("`")[1] for row in rows} == {setting.flag for setting in settings_table()} | extra
