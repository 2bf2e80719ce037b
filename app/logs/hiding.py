"""What never reaches the log: whatever lets its holder in."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["HIDDEN", "hide_secrets", "shown_body", "shown_headers", "shown_target"]

HIDDEN = "<hidden>"
# The most of a body that is shown.
_LONGEST_BODY = 4096

_TELLING = r"(?:token|secret|passw|api[-_]?key|credential|authori[sz]ation|cookie|session|signature)"
_NAME = re.compile(_TELLING, re.IGNORECASE)
# `"token": "…"` of a TokenReview or a TokenRequest; a string that was cut off too.
_MEMBER = re.compile(rf'("[^"]*{_TELLING}[^"]*"\s*:\s*")(?:[^"\\]|\\.)*', re.IGNORECASE)
# A bearer token wherever it stands, also where an error quotes a header or a websocket's subprotocol carries it.
_BEARER = re.compile(r"(\bbearer(?:\.authorization\.k8s\.io\.|[\s:=]+))[^\s\"',;\\<]+", re.IGNORECASE)
# A JSON web token: three parts in base64, and the first begins with `{"`.
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?")


def hide_secrets(text: str) -> str:
    """Hide bearer tokens and JSON web tokens in any text: the last net under every line."""
    # Much faster than the expressions, which nearly never match.
    if "earer" in text or "EARER" in text:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    if "eyJ" in text:
        text = _JWT.sub(HIDDEN, text)
    return text


def shown_target(target: str) -> str:
    """Give a request's target as a line may show it: `?access_token=…` is hidden."""
    path, mark, query = target.partition("?")
    # By hand, as any client chooses the text: an expression for it takes seconds on 8 KiB of question marks.
    return path + mark + "&".join(map(_shown_parameter, query.split("&")))


def shown_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give header fields as a line may show them; repeated ones are joined."""
    shown: dict[str, str] = {}
    for name, value in pairs:
        safe = HIDDEN if _NAME.search(name) else hide_secrets(value)
        shown[name] = f"{shown[name]}, {safe}" if name in shown else safe
    return shown


def shown_body(body: bytes) -> str:
    """Give the beginning of a body as a line may show it."""
    text = _MEMBER.sub(rf"\1{HIDDEN}", body[:_LONGEST_BODY].decode("utf-8", "backslashreplace"))
    left = len(body) - _LONGEST_BODY
    return f"{text}… and {left} bytes more" if left > 0 else text


def _shown_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    return f"{name}={HIDDEN}" if value and _NAME.search(name) else parameter
