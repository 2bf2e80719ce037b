"""`/healthz`, `/livez`, `/readyz`: named checks, which never wait for anything (k8s.io/apiserver `healthz`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Blueprint, Response, request

from app.errors import NotFoundError

__all__ = ["Check", "Passing", "blueprint", "failure"]


class Passing(str):
    """A check passes, and there is something to say of it all the same."""

    __slots__ = ()


# Gives the reason why the check fails; None, or Passing, while it passes.
Check = Callable[[], str | Passing | None]


def blueprint(live: Mapping[str, Check], ready: Mapping[str, Check]) -> Blueprint:
    """Make the routes: `/livez` and `/healthz` run the checks of `live`, `/readyz` those of `ready`."""
    routes = Blueprint("probes", __name__)
    for probe, checks in (("healthz", live), ("livez", live), ("readyz", ready)):
        _add(routes, probe, checks)
    return routes


def _add(routes: Blueprint, probe: str, checks: Mapping[str, Check]) -> None:
    def every() -> Response:
        excluded = set(request.args.getlist("exclude"))
        lines, passed = [], True
        for name, check in checks.items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            found = check()
            reason = failure(found)
            passed = passed and reason is None
            detail = f": {found}" if found else ""
            lines.append(f"[+]{name} ok{detail}" if reason is None else f"[-]{name} failed: {reason}")
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
        reason = failure(checks[name]())
        return _text("ok", 200) if reason is None else _text(f"internal server error: {reason}\n", 500)

    routes.add_url_rule(f"/{probe}", view_func=every, endpoint=probe)
    routes.add_url_rule(f"/{probe}/", view_func=every, endpoint=probe)
    routes.add_url_rule(f"/{probe}/<path:name>", view_func=one, endpoint=f"{probe}-check")


def failure(found: str | None) -> str | None:
    """Give the reason why a check fails; None while it passes."""
    return None if isinstance(found, Passing) else found


def _text(text: str, status: int) -> Response:
    return Response(text, status=status, content_type="text/plain; charset=utf-8")
