"""`/healthz`, `/livez`, `/readyz`: named checks, which never wait for anything (k8s.io/apiserver `healthz`).

Anybody may ask, and is told names and ok or failed. Why a check fails is for the log and for `/debug/status`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Self

from flask import Blueprint, Response, request

from metrics_apiserver.errors import NotFoundError
from metrics_apiserver.logs.seldom import Seldom

__all__ = ["Check", "Passing", "blueprint", "failure", "status_of"]


class Passing(str):
    """What is to be said of a check that passes, to who may know; `remark` is a word of ours for everybody."""

    __slots__ = ("remark",)
    remark: str

    def __new__(cls, text: str, *, remark: str = "") -> Self:
        """Make it."""
        made = super().__new__(cls, text)
        made.remark = remark
        return made


# Gives the reason why the check fails; None, or Passing, while it passes.
Check = Callable[[], str | Passing | None]


def blueprint(live: Mapping[str, Check], ready: Mapping[str, Check], logger: logging.Logger) -> Blueprint:
    """Make the routes: `/livez` and `/healthz` run the checks of `live`, `/readyz` those of `ready`."""
    routes = Blueprint("probes", __name__)
    said = Seldom()

    def failed(name: str, found: str | None) -> bool:
        reason = failure(found)
        if reason is not None and said.allows((name, reason)):
            logger.warning("the check %s fails: %s", name, reason)
        return reason is not None

    for probe, checks in (("healthz", live), ("livez", live), ("readyz", ready)):
        _add(routes, probe, checks, failed)
    return routes


def _add(routes: Blueprint, probe: str, checks: Mapping[str, Check], failed: Callable[[str, str | None], bool]) -> None:
    def every() -> Response:
        excluded = set(request.args.getlist("exclude"))
        lines, passed = [], True
        for name, check in checks.items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            found = check()
            if failed(name, found):
                passed = False
                lines.append(f"[-]{name} failed: reason withheld")
            else:
                remark = found.remark if isinstance(found, Passing) else ""
                lines.append(f"[+]{name} ok: {remark}" if remark else f"[+]{name} ok")
        if unknown := sorted(excluded - checks.keys()):
            names = ", ".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if not passed:
            return _text("\n".join([*lines, f"{probe} check failed", ""]), 500)
        if "verbose" in request.args:
            return _text("\n".join([*lines, f"{probe} check passed", ""]), 200)
        return _text("ok", 200)

    def one(name: str) -> Response:
        if name not in checks:
            raise NotFoundError.for_path()
        if failed(name, checks[name]()):
            return _text("internal server error: reason withheld\n", 500)
        return _text("ok", 200)

    routes.add_url_rule(f"/{probe}", view_func=every, endpoint=probe)
    routes.add_url_rule(f"/{probe}/", view_func=every, endpoint=probe)
    routes.add_url_rule(f"/{probe}/<path:name>", view_func=one, endpoint=f"{probe}-check")


def failure(found: str | None) -> str | None:
    """Return the reason why a check fails; None while it passes."""
    return None if isinstance(found, Passing) else found


def status_of(checks: Mapping[str, Check]) -> list[dict[str, str]]:
    """Run the checks, and return what is known of each: for who may know."""
    status = []
    for name, check in checks.items():
        found = check()
        row = {"name": name, "status": "ok" if failure(found) is None else "failed"}
        status.append({**row, "detail": str(found)} if found else row)
    return status


def _text(text: str, status: int) -> Response:
    return Response(text, status=status, content_type="text/plain; charset=utf-8")
