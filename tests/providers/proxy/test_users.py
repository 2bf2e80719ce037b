"""The proxy as a front proxy: the user's name goes with every read, and nobody else's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.auth.front_proxy import RequestHeaders
from metrics_apiserver.model import selectors
from metrics_apiserver.provider import BadGatewayError, ExternalMetricInfo, UserInfo
from metrics_apiserver_providers.proxy import ProxyProvider
from metrics_apiserver_providers.proxy.users import user_headers
from tests.controlplane.certificates import Authority
from tests.providers.proxy.conftest import MakeProxy, read_context
from tests.providers.proxy.other import OtherServer, Request, external_list, reply, status

HEADERS = RequestHeaders.named(
    allowed_names=[],
    username=["X-Remote-User"],
    uid=["X-Remote-Uid"],
    group=["X-Remote-Group"],
    extra_prefix=["X-Remote-Extra-"],
)


@pytest.fixture(name="front")
def _front(make_proxy: MakeProxy, authority: Authority, tmp_path: Path) -> ProxyProvider:
    """A proxy that the other server takes for a front proxy."""
    cert, key = authority.issue("front").write(tmp_path, "client")
    return make_proxy(clientCertFile=str(cert), clientKeyFile=str(key), forwardUser=True)


def read_back(request: Request) -> tuple[str, str, set[str], dict[str, Any]]:
    """Read the user as our own server reads it of a front proxy."""
    pairs = [(name.upper(), value.encode().decode("latin-1")) for name, value in request.headers]
    user = HEADERS.user(pairs)
    assert user is not None
    groups = set(user.groups) - {"system:authenticated"}  # our server adds it to every user
    return user.name, user.uid, groups, dict(user.extra)


def read(proxy: ProxyProvider, user: UserInfo | None) -> None:
    context = read_context(user=user)
    assert not proxy.get_external_metric(context, "shop", selectors.EVERYTHING, ExternalMetricInfo("queue"))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param(UserInfo("ann"), ("ann", "", set(), {}), id="a name"),
        pytest.param(
            UserInfo("ann", "17", ("a, b", "c"), {"scopes": ("x", "y"), "Strange/Key %": ("z",)}),
            (
                "ann",
                "17",
                {"a, b", "c"},
                {"scopes": ("x", "y"), "strange/key %": ("z",)},
            ),
            id="all that there is",
        ),
        pytest.param(
            UserInfo("J\u00f6rg", "", ("\u7d44",)),
            ("J\u00f6rg", "", {"\u7d44"}, {}),
            id="other letters",
        ),
        pytest.param(
            None, ("system:anonymous", "", {"system:unauthenticated"}, {}), id="nobody is named, not left out"
        ),
    ],
)
def test_user_arrives_as_our_own_server_would_read_it(
    user: UserInfo | None, expected: Any, front: ProxyProvider, other: OtherServer
) -> None:
    """Repeated fields stay apart, and every letter survives."""
    other.answer = reply(200, external_list())
    read(front, user)
    assert read_back(other.requests[0]) == expected
    assert other.requests[0].client == "front"


ENDS = {
    "a line end": "\r\nX-Remote-User: root",
    "a line feed": "\nX-Remote-User: root",
    "a carriage return": "\rX",
    "a folded line, which HTTP clients send": "\r\n X-Remote-User: root",
    "a line that is folded with a tab": "\n\tX",
    "a null": "\0",
    "an escape": "\x1b[2J",
    "a delete": "\x7f",
    "a tab": "\tb",
    "a next line": "\x85X",
    "a line separator": "\u2028X",
    "a paragraph separator": "\u2029X",
    "half a surrogate pair": "\ud800",
}
BODIES = {
    "the name": lambda text: UserInfo(text),
    "the UID": lambda text: UserInfo("ann", text),
    "a group": lambda text: UserInfo("ann", groups=("ok", text)),
    "a key of extra": lambda text: UserInfo("ann", extra={text: ("x",)}),
    "a value of extra": lambda text: UserInfo("ann", extra={"scopes": ("ok", text)}),
}


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("begin", ["", "a"], ids=["alone", "after a letter"])
def test_user_that_is_no_header_field_is_refused(
    make: Any, end: str, begin: str, front: ProxyProvider, other: OtherServer
) -> None:
    """A line end would begin another field. Nothing of it is quoted, and nothing is sent."""
    with pytest.raises(BadGatewayError) as caught:
        read(front, make(begin + end))
    assert caught.value.message.startswith("provider keda: a header field of the request cannot be sent: ")
    assert caught.value.message.endswith(" has a control character or a line end")
    assert other.requests == []


@pytest.mark.parametrize("make", [BODIES[name] for name in BODIES if "key" not in name])
@pytest.mark.parametrize("text", [" root", "root ", "\u00a0 "])
def test_user_whose_blanks_would_be_lost_is_refused(
    make: Any, text: str, front: ProxyProvider, other: OtherServer
) -> None:
    """It would arrive as another user, since whoever receives a field takes blanks away."""
    with pytest.raises(BadGatewayError, match="begins or ends with a blank"):
        read(front, make(text))
    assert other.requests == []


def test_user_without_a_name_is_refused(front: ProxyProvider, other: OtherServer) -> None:
    """Some servers would take the front proxy for the one who asks."""
    with pytest.raises(BadGatewayError, match="the user's name is empty"):
        read(front, UserInfo(""))
    assert other.requests == []


@given(
    name=st.text(min_size=1),
    uid=st.text(),
    groups=st.lists(st.text(), max_size=3),
    extra=st.dictionaries(st.text(min_size=1), st.lists(st.text(), max_size=2), max_size=2),
)
def test_header_fields_are_whole_or_none(name: str, uid: str, groups: list[str], extra: dict[str, list[str]]) -> None:
    """Whatever a user is called: each field is one line of a token and printable bytes, and reads back as it was."""
    user = UserInfo(name, uid, tuple(groups), {key: tuple(values) for key, values in extra.items()})
    try:
        headers = user_headers(user)
    except BadGatewayError:
        return
    pairs = [(key.upper(), value) for key, value in headers.iteritems()]
    for key, value in pairs:
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key)
        assert not re.search(r"[\x00-\x1f\x7f]", value)
        assert value == value.strip(" \t")
    found = HEADERS.user(pairs)
    assert found is not None
    assert (found.name, found.uid) == (name, uid)
    assert [group for group in found.groups if group != "system:authenticated"] == [
        group for group in groups if group and group != "system:authenticated"
    ]


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        pytest.param("scopes", "scopes", id="a plain key"),
        pytest.param("acme.com/project", "acme.com%2Fproject", id="a slash"),
        pytest.param("50%", "50%25", id="a percent sign"),
        pytest.param("a b:c", "a%20b%3Ac", id="what no name of a field has"),
        pytest.param("!#$&'*+-.^_`|~", "!#$&'*+-.^_`|~", id="what names of fields may have"),
        pytest.param("\u7d44", "%E7%B5%84", id="other letters"),
    ],
)
def test_keys_of_extra_are_escaped_as_go_does(key: str, sent: str) -> None:
    """client-go `transport.headerKeyEscape`."""
    headers = user_headers(UserInfo("ann", extra={key: ("x",)}))
    assert [name for name in headers if name.startswith("X-Remote-Extra-")] == [f"X-Remote-Extra-{sent}"]


def test_listing_is_read_under_a_name_of_its_own(front: ProxyProvider, other: OtherServer) -> None:
    """A front proxy that names nobody would be taken for itself by some servers."""
    other.answer = status(503, "not now")
    front._listing.refresh()
    names = {read_back(request)[0] for request in other.requests}
    assert names == {"metrics-apiserver:proxy"}


def test_user_is_asked_for_only_where_it_is_forwarded(front: ProxyProvider, proxy: ProxyProvider) -> None:
    """Reads of two users share an answer unless it depends on them."""
    assert (front.per_user, proxy.per_user) == (True, False)


def test_user_stays_here_unless_it_is_forwarded(proxy: ProxyProvider, other: OtherServer) -> None:
    """The other server sees this server's account alone."""
    other.answer = reply(200, external_list())
    read(proxy, UserInfo("ann"))
    assert not [name for name, _ in other.requests[0].headers if name.lower().startswith("x-remote")]
