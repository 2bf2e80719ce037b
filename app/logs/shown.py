"""What a line shows of a request: what is known to be harmless, and nothing else.

Lists of what is harmful are never complete (`?key=`, `?%74oken=`, `X-Auth`), so parameters and header fields are shown
by a list of those whose values are not secrets; everything else is `<hidden>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, unquote_plus

from app.logs.hiding import HIDDEN, PARAMETERS, hide_secrets, is_telling

__all__ = ["shown_body", "shown_field", "shown_headers", "shown_method", "shown_target"]

# Their names are worth reading in the log; not so their values.
_SPELT = frozenset(name.lower() for name in PARAMETERS)
_SECRET = frozenset(
    [
        *("token", "access_token", "id_token", "refresh_token", "auth", "authorization", "key", "api_key", "apikey"),
        *("api-key", "pwd", "password", "passwd", "secret", "client_secret", "credential", "session", "signature"),
    ]
)
# A target has room for thousands of parameters, and no request needs more than a few.
_SHOWN_PARAMETERS = 64
# What nearly every target is: a path and selectors, in which nothing can hide.
_PLAIN = re.compile(
    r"[\w/.*-]*+(?:\?(?:&?(?:labelSelector|metricLabelSelector|fieldSelector)="
    r"(?:[\w.,()*+-]|%(?:3D|2C|20|21|28|29|2F))*+)*+)?+\Z",
    re.ASCII,
)
# One of them is in every telling name of a label; quicker than to look for the names.
_WORDS = ("token", "secret", "passw", "pwd", "key", "credential", "auth", "cookie", "session", "sig", "jwt", "bearer")
# The same of a value after percent-decoding.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9._/ ,=!()<>*:-]*+\Z")
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_MARKS = re.compile(r"([?&;#])")
# What a path of ours never holds: parameters, and what stands before a host.
_SUSPICIOUS = re.compile(r"[?&;#=@\\]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?://)?|/*")
_KEY_END = re.compile(r"[=!(<>\s]")

_FIELDS = frozenset(
    [
        *("accept", "accept-charset", "accept-encoding", "accept-language", "allow", "audit-id", "cache-control"),
        *("connection", "content-encoding", "content-length", "content-type", "date", "etag", "expect", "host"),
        *("if-modified-since", "if-none-match", "impersonate-group", "impersonate-uid", "impersonate-user"),
        *("keep-alive", "last-modified", "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade"),
        *("user-agent", "vary", "via", "www-authenticate", "x-content-type-options", "x-forwarded-for"),
        *("x-remote-group", "x-remote-uid", "x-remote-user"),
    ]
)
_METHOD = re.compile(r"[A-Z]{1,16}\Z")

# The most of a body that is shown.
_LONGEST_BODY = 4096
# A string (its end may be cut off), a word, or what stands between them.
_JSON = re.compile(r'("(?:[^"\\]++|\\.)*+(?:"|\\?\Z))|([^\s"{}\[\]:,]++)|([\s{}\[\]:,]++)', re.DOTALL)
_KEY = re.compile(r"[A-Za-z0-9_./-]{1,64}\Z")
# A quantity, which is what a client may write here, and JSON's own words.
_SCALAR = re.compile(r"(?:[-+]?[0-9.]{1,64}(?:[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,4})|true|false|null)\Z")


def shown_target(target: str) -> str:
    """Return a request's target as a line may show it: the path, and the values of the parameters that are known."""
    path, mark, query = target.partition("?")
    if _PLAIN.match(target) and "eyJ" not in target and not (mark and any(map(query.lower().__contains__, _WORDS))):
        return target
    return hide_secrets(_shown_path(path) + (mark + _shown_query(query) if mark else ""))


def shown_method(method: str) -> str:
    """Return a request's method as a line may show it."""
    return method if _METHOD.match(method) else HIDDEN


def shown_field(name: str, value: str) -> str:
    """Return the value of a header field as a line may show it."""
    lowered = name.lower()
    if lowered not in _FIELDS or (lowered == "host" and "@" in value):
        return HIDDEN
    return hide_secrets(value)


def shown_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields as a line may show them; repeated ones are joined."""
    shown: dict[str, list[str]] = {}
    for name, value in pairs:
        shown.setdefault(name, []).append(shown_field(name, value))
    return {name: ", ".join(values) for name, values in shown.items()}


def shown_body(body: bytes, *, ours: bool = False) -> str:
    """Return the beginning of a body as a line may show it.

    Of a client's the structure is shown, its numbers and its quantities; of `ours` all but what has a telling name.
    """
    text = body[:_LONGEST_BODY].decode("utf-8", "backslashreplace")
    shown = "".join(_shown_json(text, ours=ours))
    left = len(body) - _LONGEST_BODY
    return f"{shown}… and {left} bytes more" if left > 0 else shown


def _shown_path(path: str) -> str:
    decoded = _decoded(path)
    if not _SUSPICIOUS.search(decoded) and "//" not in decoded and path.startswith("/"):
        return path
    head, *rest = _MARKS.split(decoded, _SHOWN_PARAMETERS)
    parameters = "".join(mark + _shown_parameter(each) for mark, each in zip(rest[::2], rest[1::2], strict=True))
    return _shown_head(head) + parameters


def _shown_head(head: str) -> str:
    """Hide what stands before a host, in whichever form somebody wrote it, and what has a telling name."""
    before, at, after = head.rpartition("@")
    if at:
        scheme = _SCHEME.match(before)
        head = f"{scheme[0] if scheme else ''}{HIDDEN}@{after}"
    segments = head.split("/")
    return "/".join(_shown_segment(segment) if "=" in segment else segment for segment in segments)


def _shown_segment(segment: str) -> str:
    name, _, _ = segment.partition("=")
    return f"{name}={HIDDEN}" if is_telling(name.strip()) else segment


def _shown_query(query: str) -> str:
    pieces = _MARKS.split(query, _SHOWN_PARAMETERS)
    if len(pieces) > 2 * _SHOWN_PARAMETERS:
        pieces[-1] = HIDDEN
    return "".join(piece if index % 2 else _shown_parameter(piece) for index, piece in enumerate(pieces))


def _shown_parameter(parameter: str) -> str:
    """Show a parameter that is known; of another, which may be all secret, only a name that is one of many."""
    written, sign, value = parameter.partition("=")
    name = unquote_plus(written) if "%" in written or "+" in written else written
    if not parameter or (name in PARAMETERS and _is_harmless(value)):
        return parameter
    lowered = name.lower()
    return f"{written}{sign}{HIDDEN}" if lowered in _SPELT or lowered in _SECRET else HIDDEN


def _is_harmless(value: str) -> bool:
    decoded = _decoded(value.replace("+", " "))
    if not _PLAIN_VALUE.match(decoded) or hide_secrets(decoded) != decoded:
        return False
    return not any(is_telling(_KEY_END.split(each.strip(" !"), 1)[0]) for each in decoded.split(","))


def _decoded(text: str) -> str:
    """Decode percent-encoding, also where it was done again and again; nobody does it more often."""
    for _ in range(3):
        if not _ESCAPE.search(text):
            break
        text = unquote(text, errors="replace")
    return text


def _shown_json(text: str, *, ours: bool) -> Iterator[str]:
    tokens = list(_JSON.finditer(text))
    telling = False
    for index, token in enumerate(tokens):
        string, word, between = token.groups()
        if between is not None:
            yield between
        elif string is not None and index + 1 < len(tokens) and (tokens[index + 1][3] or "").lstrip().startswith(":"):
            key = _string(string)
            telling = key is None or is_telling(key)
            yield string if ours or (key is not None and _KEY.match(key)) else f'"{HIDDEN}"'
        elif telling or not (ours or _SCALAR.match(string.strip('"') if string is not None else word)):
            yield f'"{HIDDEN}"' if string is not None else HIDDEN
        else:
            yield token[0]


def _string(literal: str) -> str | None:
    """Read a string of JSON; None where it cannot be read."""
    try:
        return str(json.loads(literal))
    except ValueError:
        return None
