"""`/healthz`, `/livez`, `/readyz`: named checks, which never wait for anything (k8s.io/apiserver `healthz`).

Anybody may ask, and is told names and ok or failed. Why a check fails is for the log and for `/debug/status`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Self
from urllib.parse import parse_qsl

from metrics_apiserver.errors import NotFoundError
from metrics_apiserver.exchange import Response, common_fields
from metrics_apiserver.logs.seldom import Seldom
from metrics_apiserver.target import Target

__all__ = ["Check", "Passing", "Probes", "failure", "status_of"]


class Passing(str):
    """What is to be said of a check that passes, to who may know; `remark` is a word of ours for everybody."""

    __slots__ = ("remark",)
    remark: str

    def __new__(cls, text: str, *, remark: str = "") -> Self:
        """Return the text, with its remark."""
        made = super().__new__(cls, text)
        made.remark = remark
        return made


# Gives the reason why the check fails; None, or Passing, while it passes.
Check = Callable[[], str | Passing | None]


class Probes:
    """Answers probes: `/livez` and `/healthz` run the checks of `live`, `/readyz` those of `ready`."""

    def __init__(self, live: Mapping[str, Check], ready: Mapping[str, Check], logger: logging.Logger) -> None:
        self.ready = ready
        self._checks = {"healthz": live, "livez": live, "readyz": ready}
        self._logger = logger
        self._said = Seldom()

    def respond(self, target: Target, audit_id: str) -> Response:
        """Answer a probe. Raises NotFoundError for a check that there is not."""
        probe, *rest = target.segments
        checks = self._checks[probe]
        code, text = self._one(checks, "/".join(rest)) if rest else self._every(probe, checks, target.query)
        return Response(code, "text/plain; charset=utf-8", text.encode(), common_fields(audit_id))

    def _every(self, probe: str, checks: Mapping[str, Check], query: str) -> tuple[int, str]:
        parameters = parse_qsl(query, keep_blank_values=True, errors="replace") if query else []
        excluded = {value for name, value in parameters if name == "exclude"}
        lines, passed = [], True
        for name, check in checks.items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            found = check()
            if self._failed(name, found):
                passed = False
                lines.append(f"[-]{name} failed: reason withheld")
            else:
                remark = found.remark if isinstance(found, Passing) else ""
                lines.append(f"[+]{name} ok: {remark}" if remark else f"[+]{name} ok")
        if unknown := sorted(excluded - checks.keys()):
            names = ", ".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if not passed:
            return 500, "\n".join([*lines, f"{probe} check failed", ""])
        if any(name == "verbose" for name, _ in parameters):
            return 200, "\n".join([*lines, f"{probe} check passed", ""])
        return 200, "ok"

    def _one(self, checks: Mapping[str, Check], name: str) -> tuple[int, str]:
        if name not in checks:
            raise NotFoundError.for_path()
        if self._failed(name, checks[name]()):
            return 500, "internal server error: reason withheld\n"
        return 200, "ok"

    def _failed(self, name: str, found: str | None) -> bool:
        reason = failure(found)
        if reason is not None and self._said.allows((name, reason)):
            self._logger.warning("the check %s fails: %s", name, reason)
        return reason is not None


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
