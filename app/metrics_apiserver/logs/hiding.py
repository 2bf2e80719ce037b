"""The last net under every line: whatever lets its holder in is hidden, wherever in a text it stands.

It runs over text that clients choose, so every expression reads each character a bounded number of times: a match
begins only where the one before it cannot have looked, and what was taken is not given back (`++`, `*+`).
"""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "PARAMETERS", "hide_secrets", "is_telling"]

HIDDEN = "<hidden>"
# The parameters that this API and Kubernetes' know. Their values say what is asked for.
PARAMETERS = frozenset(
    [
        *("labelSelector", "metricLabelSelector", "fieldSelector", "labels", "pretty", "limit", "continue"),
        *("resourceVersion", "resourceVersionMatch", "timeoutSeconds", "timeout", "watch", "allowWatchBookmarks"),
        *("sendInitialEvents", "verbose", "exclude", "hash", "dryRun", "fieldManager", "fieldValidation"),
    ]
)
# Those of media types, which stand after a semicolon.
TYPE_PARAMETERS = frozenset(["as", "charset", "g", "profile", "q", "v", "version"])

_TELLING = re.compile(
    r"token|secret|passw|passphrase|passcode|pwd|api[-_]?key|^key$|credential|^auth$|authori[sz]ation|cookie|session|signature|^sig$|jwt|bearer",
    re.IGNORECASE,
)
# What may stand between a scheme and its credentials: blanks and signs, also encoded, or the quotes of a member.
_BETWEEN = r"(?:(?:[\s:=+]|%(?:20|09|2b|3a|3d)|\\t|\\u0020)++|\\?[\"']\s*+[:=,]\s*+\\?[\"'])"
_CREDENTIALS = r"[^\s\"',;\\<]"
# A bearer token wherever it stands, also where an error quotes a header or a websocket's subprotocol carries it.
_BEARER = re.compile(rf"(bearer(?:\.authorization\.k8s\.io\.|{_BETWEEN})){_CREDENTIALS}++", re.IGNORECASE)
_SCHEME = re.compile(rf"((?<![a-z])(?:basic|negotiate|ntlm){_BETWEEN}){_CREDENTIALS}++", re.IGNORECASE)
_DIGEST = re.compile(
    r"((?<![a-z])digest\s++)(?:[\w-]++=(?:\\?\"[^\"\\]*+(?:\\?\")?+|[^\s\",\\]*+),?\s*+)++", re.IGNORECASE
)
# The field as a head, a mapping or a pair has it: of any scheme, up to the end of the line or of the quotes.
_AUTHORIZATION = re.compile(
    r"(authorization(?:\\?[\"'])?+(?:\s*+[:=]\s*+|(?<=[\"'])\s*+,\s*+)(?:\\?[\"'])?+)[^\"'\\\r\n]++", re.IGNORECASE
)
# A JSON web token: three parts in base64, and the first begins with `{"`. It is looked for from the beginning of a run
# of its characters only.
_JWT = re.compile(r"(?<![\w-])((?:(?!eyJ)[\w-])*+)eyJ[\w-]{5,}+\.[\w-]++(?:\.[\w-]*+)?")
# What stands before the `@` of a URL's authority.
_USERINFO = re.compile(r"(?<=//)[^\s/?#\"'<>\\@]*+@(?:[^\s/?#\"'<>\\@]*+@)*+")
# A parameter of a URL that is quoted somewhere; its name may be percent-encoded.
_PARAMETER = re.compile(
    r"([?&;#]|%3[fb]|%2[36])((?:[^=?&;#\s\"'\\<>%]|%(?!3[dfb]|2[36]))*+)( ?(?:=|%3d))"
    r"((?:[^?&;#\s\"'\\<>%]|%(?!3[fb]|2[36]))++)",
    re.IGNORECASE,
)
# What nearly every line has after its first mark, if any: selectors, and no other parameter.
_SELECTORS = re.compile(
    r"\?(?:&?(?:labelSelector|metricLabelSelector|fieldSelector)=(?:[^?&;#%]|%(?:3D|2C|20|21|28|29|2F))*+)*+\Z"
)


def is_telling(name: str) -> bool:
    """Return whether a parameter, a header field or a member of this name holds what lets somebody in."""
    return _TELLING.search(name) is not None


def hide_secrets(text: str) -> str:
    """Return a text without credentials: bearer tokens, passwords, JSON web tokens, the user and password of a URL."""
    # Much faster than the expressions, which nearly never match.
    lowered = text.lower()
    if "authorization" in lowered:
        text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    if "bearer" in lowered:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    if "basic" in lowered or "negotiate" in lowered or "ntlm" in lowered:
        text = _SCHEME.sub(rf"\1{HIDDEN}", text)
    if "digest" in lowered:
        text = _DIGEST.sub(rf"\1{HIDDEN}", text)
    # By hand: an expression looks at every character of the line.
    begin = len(text)
    for mark in "?&;#%":
        at = text.find(mark, 0, begin)
        begin = at if at >= 0 else begin
    if begin < len(text) and not _SELECTORS.match(text, begin):
        text = _PARAMETER.sub(_shown_parameter, text)
    if "eyJ" in text:
        text = _JWT.sub(rf"\1{HIDDEN}", text)
    if "@" in text and "//" in text:
        text = _USERINFO.sub(f"{HIDDEN}@", text)
    return text


def _shown_parameter(found: re.Match[str]) -> str:
    mark, name, sign, _ = found.groups()
    known = TYPE_PARAMETERS if mark == ";" else PARAMETERS
    return found[0] if name in known and not sign.startswith(" ") else f"{mark}{name}{sign}{HIDDEN}"
