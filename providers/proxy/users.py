"""Who asks, as a front proxy tells it in header fields (k8s.io/client-go `transport.SetAuthProxyHeaders`)."""

from __future__ import annotations

from urllib.parse import quote

from urllib3 import HTTPHeaderDict

from app.provider import UserInfo

__all__ = ["ANONYMOUS", "LISTER", "user_headers"]

# Named, because a front proxy that names nobody is authenticated as itself by some servers.
ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))
# Who reads the listing: every authenticated user may, by the cluster's role system:discovery.
LISTER = UserInfo("metrics-apiserver:proxy", groups=("system:authenticated",))
# RFC 9110's token without the percent sign, which escapes.
_PLAIN = "!#$&'*+-.^_`|~"


def user_headers(user: UserInfo) -> HTTPHeaderDict:
    """Give the header fields that name the user; repeated ones stay apart."""
    headers = HTTPHeaderDict({"X-Remote-User": _wire(user.name)})
    if user.uid:
        headers["X-Remote-Uid"] = _wire(user.uid)
    for group in user.groups:
        headers.add("X-Remote-Group", _wire(group))
    for key, values in user.extra.items():
        for value in values:
            headers.add(f"X-Remote-Extra-{quote(key, safe=_PLAIN)}", _wire(value))
    return headers


def _wire(text: str) -> str:
    """Give the text whose Latin-1 bytes are this one's UTF-8: the HTTP client writes Latin-1."""
    return text.encode().decode("latin-1")
