"""The settings as flags of a command line: for `metrics-apiserver`, and for programs of provider authors."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from metrics_apiserver.settings import ENVIRONMENT_PREFIX, Setting, settings_table

__all__ = ["add_settings", "add_sources", "variables"]


def add_sources(parser: argparse._ActionsContainer) -> None:
    """Add the two flags that are no settings: `--config` and `--provider`."""
    parser.add_argument("--config", metavar="FILE", help="a YAML file with any of these settings, and providers")
    parser.add_argument(
        "--provider",
        metavar="NAME",
        action="append",
        help="serve this installed provider with default options; repeat it for several, asked in this order",
    )


def add_settings(parser: argparse._ActionsContainer) -> None:
    """Add a flag for each setting. Values are checked with all the others, so that every problem is told at once."""
    for setting in settings_table():
        names = ["-v", "--v"] if setting.name == "v" else [setting.flag]
        default = f" (default: {setting.default_text})" if setting.default_text else ""
        parser.add_argument(
            *names, dest=setting.name, metavar="VALUE", help=f"{setting.help}{default}", **_taking(setting)
        )


def _taking(setting: Setting) -> dict[str, Any]:
    """Say what a flag takes, as Go's pflag has it: alone it means true, and a list grows with each."""
    if setting.switch:
        return {"nargs": "?", "const": "true"}
    return {"action": "append"} if setting.several else {}


def variables(parsed: Mapping[str, object]) -> dict[str, str]:
    """Return the flags that were given as environment variables."""
    names = ["config", "provider", *(setting.name for setting in settings_table())]
    given = {ENVIRONMENT_PREFIX + name.upper(): parsed[name] for name in names if parsed.get(name) is not None}
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in given.items()}
