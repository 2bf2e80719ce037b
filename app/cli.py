"""`metrics-apiserver serve | providers`, with Kubernetes-style flags."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from app import registry
from app.settings import ENVIRONMENT_PREFIX, Setting, settings_table

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "providers":
        return _providers()
    return _serve(parsed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metrics-apiserver",
        description="The Kubernetes custom and external metrics API server.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="serve both APIs over TLS",
        description=f"Serve both APIs. Every flag is also read from {ENVIRONMENT_PREFIX}<NAME> and from --config.",
        allow_abbrev=False,
    )
    serve.add_argument("--config", metavar="FILE", help="a YAML file with any of these settings, and providers")
    serve.add_argument(
        "--provider",
        metavar="NAME",
        action="append",
        help="serve this installed provider with default options; repeat it for several, asked in this order",
    )
    for setting in settings_table():
        # Values are checked with all the others, so that every problem is told at once.
        names = ["-v", "--v"] if setting.name == "v" else [setting.flag]
        default = f" (default: {setting.default_text})" if setting.default_text else ""
        serve.add_argument(
            *names, dest=setting.name, metavar="VALUE", help=f"{setting.help}{default}", **_taking(setting)
        )
    commands.add_parser("providers", help="list the installed providers", allow_abbrev=False)
    return parser


def _taking(setting: Setting) -> dict[str, Any]:
    """Say what a flag takes, as Go's pflag has it: alone it means true, and a list grows with each."""
    if setting.switch:
        return {"nargs": "?", "const": "true"}
    return {"action": "append"} if setting.several else {}


def _serve(parsed: argparse.Namespace) -> int:
    """Become gunicorn, which reads the settings from the environment as `gunicorn wsgi:app` does by itself."""
    environ = {**os.environ, **_variables(vars(parsed))}
    command = [sys.executable, "-m", "gunicorn", "-c", "python:app.serving.config", "wsgi:app"]
    os.execve(sys.executable, command, environ)  # noqa: S606 - our own interpreter, no shell


def _variables(parsed: Mapping[str, object]) -> dict[str, str]:
    names = ["config", "provider", *(setting.name for setting in settings_table())]
    given = {ENVIRONMENT_PREFIX + name.upper(): parsed[name] for name in names if parsed[name] is not None}
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in given.items()}


def _providers() -> int:
    rows = [(entry.name, *registry.origin(entry)) for entry in registry.installed()]
    rows.insert(0, ("NAME", "DISTRIBUTION", "VERSION"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
