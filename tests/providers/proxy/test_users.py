"""The proxy as a front proxy: the user's name goes with every read, and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.auth.front_proxy import RequestHeaders
from app.model import selectors
from app.provider import BadGatewayError, ExternalMetricInfo, UserInfo
from providers.proxy import ProxyProvider
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


@pytest.mark.parametrize("user", [UserInfo("a\r\nX-Remote-User: root"), UserInfo("a", groups=("b\nc",))])
def test_user_that_is_no_header_field_is_refused(user: UserInfo, front: ProxyProvider, other: OtherServer) -> None:
    """A line break would begin another field."""
    with pytest.raises(BadGatewayError, match="provider keda: a header field of the request cannot be sent"):
        read(front, user)
    assert other.requests == []


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
