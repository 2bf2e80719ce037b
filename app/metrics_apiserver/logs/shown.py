"""What a line shows of a request: what is known to be harmless, and nothing else.

Lists of what is harmful are never complete (`?key=`, `?%74oken=`, `X-Auth`), so parameters and header fields are shown
by a list of those whose values are not secrets; everything else is `<hidden>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, unquote_plus

from metrics_apiserver.logs.hiding import HIDDEN, PARAMETERS, hide_secrets, is_telling

__all__ = ["shown_field", "shown_headers", "shown_method", "shown_selector", "shown_target"]

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
_WORDS = ("token", "secret", "pass", "pwd", "key", "credential", "auth", "cookie", "session", "sig", "jwt", "bearer")
# The same of a value after percent-decoding.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9._/ ,=!()<>*:-]*+\Z")
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_MARKS = re.compile(r"([?&;#])")
# What a path of ours never holds: parameters, and what stands before a host.
_SUSPICIOUS = re.compile(r"[?&;#=@\\]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?://)?|/*")
# Where the key of a requirement stands, after whatever is before it.
_LABEL_KEY = re.compile(r"[^\w]*+([\w./-]*+)")
# What ends the name before a sign, in a text that is not a URL.
_BEFORE_NAME = re.compile(r"[\s,;&?#\"'(){}\[\]]")

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
# Those whose values are names of users, and may have signs of URLs in them.
_USERS = frozenset(["impersonate-group", "impersonate-uid", "impersonate-user"]) | frozenset(
    ["x-remote-group", "x-remote-uid", "x-remote-user"]
)
# Their names are worth reading, their values hidden.
_SECRET_FIELDS = frozenset(
    [
        *("authorization", "cookie", "forwarded", "from", "if-none-match", "if-match", "origin", "private-token"),
        *("proxy-authorization", "referer", "sec-websocket-protocol", "set-cookie", "x-api-key", "x-auth"),
        *("x-auth-token", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-uri", "x-real-ip", "x-request-id"),
    ]
)
_METHOD = re.compile(r"[A-Z]{1,16}\Z")


def shown_target(target: str) -> str:
    """Return a request's target as a line may show it: the path, and the values of the parameters that are known."""
    path, mark, query = target.partition("?")
    if _PLAIN.match(target) and "eyJ" not in target and not (mark and any(map(query.lower().__contains__, _WORDS))):
        return target
    return hide_secrets(_shown_path(path) + (mark + _shown_query(query) if mark else ""))


def shown_method(method: str) -> str:
    """Return a request's method as a line may show it."""
    return method if _METHOD.match(method) else HIDDEN


def shown_selector(selector: str) -> str:
    """Return a selector as a line may show it, by the judgement that a target's is shown by."""
    return selector if _is_harmless(selector) else HIDDEN


def shown_field(name: str, value: str) -> str:
    """Return the value of a header field as a line may show it."""
    lowered = name.lower()
    if lowered not in _FIELDS:
        return HIDDEN
    decoded = _decoded(value)
    # A user may be called jane@example.com; elsewhere it is what stands before a host.
    if _ESCAPE.search(decoded) or _names_secret(decoded) or ("@" in decoded and lowered not in _USERS):
        return HIDDEN
    shown = hide_secrets(decoded)
    return value if shown == decoded else shown


def shown_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields as a line may show them; repeated ones are joined. A name that nobody knows may be a secret.

    All fields of such names are one, without a value.
    """
    shown: dict[str, list[str]] = {}
    for name, value in pairs:
        known = name.lower() in _FIELDS or name.lower() in _SECRET_FIELDS
        if known:
            shown.setdefault(name, []).append(shown_field(name, value))
        else:
            shown[HIDDEN] = [HIDDEN]
    return {name: ", ".join(values) for name, values in shown.items()}


def _shown_path(path: str) -> str:
    decoded = _decoded(path)
    if _ESCAPE.search(decoded):
        return HIDDEN
    if (shown := hide_secrets(decoded)) != decoded:
        decoded = path = shown
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
    return not any(_is_telling_key(each) for each in decoded.split(","))


def _is_telling_key(requirement: str) -> bool:
    found = _LABEL_KEY.match(requirement)
    key = found[1] if found is not None else ""
    return is_telling(key) or is_telling(key.rpartition("/")[2])


def _names_secret(text: str) -> bool:
    """Return whether a text that is not a URL has a name and a sign after it, and the name is that of a secret."""
    lowered = text.lower()
    if not any(word in lowered for word in _WORDS):
        return False
    pieces = re.split(r"[=:]", text)
    return any(is_telling(_BEFORE_NAME.split(piece.rstrip(" \t\"'\\"))[-1]) for piece in pieces[:-1])


def _decoded(text: str) -> str:
    """Decode percent-encoding, also where it was applied several times, up to a bound."""
    for _ in range(3):
        if not _ESCAPE.search(text):
            break
        text = unquote(text, errors="replace")
    return text
