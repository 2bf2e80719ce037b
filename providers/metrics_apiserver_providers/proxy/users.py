"""Who asks, as a front proxy tells it in header fields (k8s.io/client-go `transport.SetAuthProxyHeaders`)."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from urllib3 import HTTPHeaderDict

from metrics_apiserver.provider import BadGatewayError, UserInfo

__all__ = ["ANONYMOUS", "LISTER", "user_headers"]

# Named, because a front proxy that names nobody is authenticated as itself by some servers.
ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))
# Who reads the listing: every authenticated user may, by the cluster's role system:discovery.
LISTER = UserInfo("metrics-apiserver:proxy", groups=("system:authenticated",))
# RFC 9110's token without the percent sign, which escapes.
_PLAIN = "!#$&'*+-.^_`|~"
# Control characters, the ends of lines and paragraphs, and halves of surrogate pairs, which have no bytes.
_UNSENDABLE = frozenset(("Cc", "Zl", "Zp", "Cs"))


def user_headers(user: UserInfo) -> HTTPHeaderDict:
    """Return the header fields that name the user; repeated ones stay apart.

    Raises BadGatewayError for a name that would arrive as another one, or as another field. Letters of every script
    are sent as UTF-8, which is what Go's client sends; keys of `extra` are escaped as it does.
    """
    if not user.name:
        raise _refusal("the user's name", "is empty")
    headers = HTTPHeaderDict({"X-Remote-User": _wire(user.name, "the user's name")})
    if user.uid:
        headers["X-Remote-Uid"] = _wire(user.uid, "the user's UID")
    for group in user.groups:
        headers.add("X-Remote-Group", _wire(group, "a group of the user"))
    for key, values in user.extra.items():
        _check(key, "a key of the user's extra")
        for value in values:
            headers.add(f"X-Remote-Extra-{quote(key, safe=_PLAIN)}", _wire(value, "a value of the user's extra"))
    return headers


def _wire(text: str, what: str) -> str:
    """Return the text whose Latin-1 bytes are this one's UTF-8: the HTTP client writes Latin-1."""
    _check(text, what)
    # Whoever receives a field takes blanks around its value away.
    if text != text.strip(" \t"):
        raise _refusal(what, "begins or ends with a blank")
    return text.encode().decode("latin-1")


def _check(text: str, what: str) -> None:
    if any(unicodedata.category(letter) in _UNSENDABLE for letter in text):
        raise _refusal(what, "has a control character or a line end")


def _refusal(what: str, problem: str) -> BadGatewayError:
    # Nothing is quoted: it is somebody's name, and may be half a header field.
    return BadGatewayError(f"a header field of the request cannot be sent: {what} {problem}")
