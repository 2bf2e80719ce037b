"""`metrics-apiserver serve | validate | check | get | providers`, with Kubernetes-style flags."""

from __future__ import annotations

import metrics_apiserver.descriptors  # noqa: F401 - before whatever opens a file

# isort: split
import argparse
import dataclasses
import logging
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version

import orjson

from metrics_apiserver import registry
from metrics_apiserver.commands.check import check
from metrics_apiserver.commands.get import Asked, GetError, Server, get
from metrics_apiserver.commands.table import table
from metrics_apiserver.configuration import START_FAILED, flags, load, located, say, say_error
from metrics_apiserver.factory import create_app
from metrics_apiserver.provider import kinds
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.serving.certificates import load_certificate
from metrics_apiserver.settings import ENVIRONMENT_PREFIX, Problem, Settings
from metrics_apiserver.yaml_values import MOST_BYTES

__all__ = ["main"]

# Where `serve` leaves the certificate that it makes, and where it listens.
_OWN_CERTIFICATE = "apiserver.local.config/certificates/apiserver.crt"
_OWN_SERVER = "https://127.0.0.1:6443"
_WATCH_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "providers":
        return _providers()
    if parsed.command == "validate":
        return _validate(parsed)
    if parsed.command == "get":
        return _get(parsed)
    if parsed.command == "check":
        return _check(parsed)
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
    _add_get(commands)
    check = commands.add_parser(
        "check",
        help="call each function of a file once, and print what it would serve",
        description="Call each function of a file once, without a cluster and without a server, and print its values."
        " The exit status is 1 where one has failed.",
        epilog="Example: metrics-apiserver check queues.py",
        allow_abbrev=False,
    )
    check.add_argument("file", metavar="FILE.py", help="the functions")
    check.add_argument("-n", "--namespace", default="default", help="where to read (default: default)")
    check.add_argument("--objects", metavar="FILE", help="the objects that exist (Kubernetes YAML); else bundled ones")
    commands.add_parser(
        "providers",
        help="list the installed providers",
        epilog="Example: metrics-apiserver providers",
        allow_abbrev=False,
    )
    return parser


def _add_get(commands: argparse._SubParsersAction[flags.Parser]) -> None:
    command = commands.add_parser(
        "get",
        help="read a metric, as the autoscaler does, and print it",
        description="Read a metric of this server, or of the cluster of a kubeconfig, and print it as kubectl does.",
        epilog="Example: metrics-apiserver get pods open-sessions -n default -l app=web;"
        " metrics-apiserver get external queue-depth",
        allow_abbrev=False,
    )
    command.add_argument("resource", metavar="RESOURCE", help="pods, deployments.apps, …, or external")
    command.add_argument("metric", metavar="METRIC", help="the metric's name")
    command.add_argument("name", metavar="NAME", nargs="?", default="*", help="one object; without it all that match")
    command.add_argument("-n", "--namespace", default="default", help="the namespace; '*' is each (default: default)")
    command.add_argument("-l", "--selector", default="", help="a selector of the objects, or of an external's series")
    command.add_argument("--metric-selector", default="", help="a selector of the metric's series")
    command.add_argument("-o", "--output", choices=("table", "wide", "json", "yaml"), default="table", help="the form")
    command.add_argument("-w", "--watch", action="store_true", help="read again every five seconds, until Ctrl-C")
    command.add_argument("--kubeconfig", metavar="FILE", default="", help="ask the cluster of this kubeconfig instead")
    command.add_argument(
        "--server", metavar="URL", default="https://127.0.0.1:6443", help="the server (default: %(default)s)"
    )
    command.add_argument("--ca-file", metavar="FILE", default=_OWN_CERTIFICATE, help="its CA (default: %(default)s)")
    command.add_argument("--token-file", metavar="FILE", help="the bearer token to show it")


def _get(parsed: argparse.Namespace) -> int:
    server = Server(parsed.server, parsed.ca_file, parsed.token_file, parsed.kubeconfig)
    asked = Asked(
        parsed.resource, parsed.metric, parsed.name, parsed.namespace, parsed.selector, parsed.metric_selector
    )
    try:
        fetch = server.connect()
        rows = get(asked, fetch, output=parsed.output, out=sys.stdout)
        while parsed.watch:
            sys.stdout.flush()
            time.sleep(_WATCH_SECONDS)
            rows = get(asked, fetch, output=parsed.output, out=sys.stdout, previous=rows)
    except GetError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _check(parsed: argparse.Namespace) -> int:
    given = {"METRICS": parsed.file, **({"OBJECTS": parsed.objects} if parsed.objects else {})}
    # Nothing else counts: it is this file that is looked at.
    settings, problems = load({f"{ENVIRONMENT_PREFIX}{name}": value for name, value in given.items()})
    if problems:
        say(problems)
        return START_FAILED
    try:
        return int(check(settings, parsed.namespace, sys.stdout) > 0)
    except (ProviderError, ValueError) as error:
        say_error(error)
        return START_FAILED


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
        remarks = [] if found else [dataclasses.asdict(remark) for remark in _remarks(settings)]
        answer = {"file": parsed.config, "problems": rows, "remarks": remarks}
        _print(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return int(bool(found))
    if found:
        _print("\n".join(found))
        return 1
    for remark in _remarks(settings):
        _print(str(remark))
    instances = ", ".join(f"{each.name} ({each.kind})" for each in settings.providers)
    count = "one provider" if len(settings.providers) == 1 else f"{len(settings.providers)} providers"
    return _print(f"{parsed.config}: nothing is wrong; {count}: {instances}")


def _remarks(settings: Settings) -> list[Problem]:
    """Return what is allowed, and most likely not meant."""
    rows = [
        Problem(
            f"warning: provider {each.name} (proxy) has no match and stands before others: where it fails, and KEDA"
            " does for each metric that it does not have, none behind it is asked",
            ("providers", number, "kind"),
        )
        for number, each in enumerate(settings.providers[:-1])
        if each.kind == "proxy" and not each.match
    ]
    return located(settings, rows)


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
    return _print("\n".join(table(("NAME", "DISTRIBUTION", "VERSION"), rows)))


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
