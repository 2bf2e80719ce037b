"""`metrics-apiserver serve | validate | providers`, with Kubernetes-style flags."""

from __future__ import annotations

import metrics_apiserver.descriptors  # noqa: F401 - before whatever opens a file

# isort: split
import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

import orjson

from metrics_apiserver import registry
from metrics_apiserver.configuration import flags, load
from metrics_apiserver.factory import create_app
from metrics_apiserver.provider import kinds
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.serving.certificates import load_certificate
from metrics_apiserver.settings import ENVIRONMENT_PREFIX, Settings
from metrics_apiserver.yaml_values import MOST_BYTES

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "providers":
        return _providers()
    if parsed.command == "validate":
        return _validate(parsed)
    return _serve(parsed)


def _parser() -> argparse.ArgumentParser:
    parser = flags.Parser(
        prog="metrics-apiserver",
        description="The Kubernetes custom and external metrics API server.",
        epilog="Example: metrics-apiserver serve --metrics queues.py",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"metrics-apiserver {version(registry.DISTRIBUTION)}")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="serve both APIs over TLS",
        description=f"Serve both APIs. Every flag is also read from {ENVIRONMENT_PREFIX}<NAME> and from --config.",
        epilog="Example: metrics-apiserver serve --metrics queues.py --secure-port 8443 --request-timeout 5s",
        allow_abbrev=False,
    )
    flags.add_sources(serve)
    flags.add_settings(serve)
    validate = commands.add_parser(
        "validate",
        help="say what is wrong with a file for --config, with each line",
        description="Say what `serve --config FILE` would say at the start, with the same flags: providers are"
        " built, but nothing is started or asked.",
        epilog="Example: metrics-apiserver validate config.yaml",
        allow_abbrev=False,
    )
    validate.add_argument("config", metavar="FILE", help="the file; - for what comes by a pipe")
    validate.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to say it")
    flags.add_settings(validate)
    commands.add_parser(
        "providers",
        help="list the installed providers",
        epilog="Example: metrics-apiserver providers",
        allow_abbrev=False,
    )
    return parser


def _serve(parsed: argparse.Namespace) -> int:
    """Become gunicorn, which reads the settings from the environment."""
    environ = {**os.environ, **flags.variables(vars(parsed))}
    # -P: what lies in the working folder is not taken for one of the packages that gunicorn imports.
    gunicorn = [sys.executable, "-P", "-m", "gunicorn"]
    command = [*gunicorn, "-c", "python:metrics_apiserver.serving.config", "metrics_apiserver.wsgi:app"]
    os.execve(sys.executable, command, environ)  # noqa: S606 - our own interpreter, no shell


def _validate(parsed: argparse.Namespace) -> int:
    given = flags.variables(vars(parsed))
    # What comes by a pipe has no name.
    content = sys.stdin.buffer.read(MOST_BYTES + 1) if parsed.config == "-" else None
    settings, problems = load({**os.environ, **given}, content)
    problems += load_certificate(settings, make=False)[1]
    # What else a start does, but for listening and asking anybody.
    found = [str(problem) for problem in problems] or _unbuildable(settings)
    if parsed.output == "json":
        rows = [dataclasses.asdict(problem) for problem in problems] or [{"sentence": each} for each in found]
        _print(orjson.dumps({"file": parsed.config, "problems": rows}, option=orjson.OPT_INDENT_2).decode())
        return int(bool(found))
    if found:
        _print("\n".join(found))
        return 1
    instances = ", ".join(f"{each.name} ({each.kind})" for each in settings.providers)
    count = "one provider" if len(settings.providers) == 1 else f"{len(settings.providers)} providers"
    return _print(f"{parsed.config}: nothing is wrong; {count}: {instances}")


def _unbuildable(settings: Settings) -> list[str]:
    """Build what a start builds, and say what is in its way; it is taken down again."""
    logger = logging.getLogger("metrics_apiserver")
    level = logger.level
    # What it would log is not what was asked for.
    logger.setLevel(logging.CRITICAL)
    try:
        registry.discard(create_app(settings).providers)
    except (ProviderError, ValueError) as error:
        return list(map(str, getattr(error, "problems", None) or [error]))
    finally:
        logger.setLevel(level)
    return []


def _providers() -> int:
    rows = [(entry.name, *kinds.origin(entry)) for entry in kinds.installed()]
    rows.insert(0, ("NAME", "DISTRIBUTION", "VERSION"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return _print("\n".join(line.rstrip() for line in lines))


def _print(text: str) -> int:
    """Print what a command says; return the exit code, which is 1 where it did not get out whole."""
    try:
        print(text, flush=True)
    except OSError as error:
        # Python tries again to write what is left when it ends, and that has to go somewhere.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        # A reader that has seen enough, as `head` has, is told nothing.
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"metrics-apiserver: the output cannot be written: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
