"""Whom a front proxy speaks for."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.auth.front_proxy import RequestHeaders
from metrics_apiserver.model.users import UserInfo

HEADERS = RequestHeaders.named(
    allowed_names=["front-proxy-client"],
    username=["X-Remote-User", " x-other-user "],
    uid=["X-Remote-Uid"],
    group=["X-Remote-Group", "X-Other-Group"],
    extra_prefix=["X-Remote-Extra-", "X-More-"],
)
AUTHENTICATED = "system:authenticated"
BOB = ("X-REMOTE-USER", "bob")


def wire(text: str) -> str:
    """A text as it comes off the wire."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize(
    ("pairs", "user"),
    [
        pytest.param([BOB], UserInfo("bob", groups=(AUTHENTICATED,)), id="a user alone"),
        pytest.param(
            [BOB, ("X-REMOTE-GROUP", "a"), ("X-REMOTE-GROUP", "b,system:masters")],
            UserInfo("bob", groups=("a", "b,system:masters", AUTHENTICATED)),
            id="repeated groups are several, a comma inside one is one",
        ),
        pytest.param(
            [("X-OTHER-GROUP", "c"), BOB, ("X-REMOTE-GROUP", ""), ("X-REMOTE-GROUP", "a")],
            UserInfo("bob", groups=("a", "c", AUTHENTICATED)),
            id="groups in the order of the header names; an empty one is none",
        ),
        pytest.param(
            [BOB, ("X-REMOTE-GROUP", AUTHENTICATED), ("X-REMOTE-GROUP", "a")],
            UserInfo("bob", groups=(AUTHENTICATED, "a")),
            id="authenticated once",
        ),
        pytest.param(
            [("X-REMOTE-USER", "system:anonymous"), ("X-REMOTE-GROUP", "system:unauthenticated")],
            UserInfo("system:anonymous", groups=("system:unauthenticated",)),
            id="the anonymous user is not authenticated by being told of",
        ),
        pytest.param(
            [BOB, ("X-REMOTE-GROUP", "system:unauthenticated")],
            UserInfo("bob", groups=("system:unauthenticated",)),
            id="nobody is in both groups, as upstream",
        ),
        pytest.param(
            [("X-REMOTE-USER", "system:anonymous")],
            UserInfo("system:anonymous"),
            id="the anonymous user without groups",
        ),
        pytest.param([BOB, ("X-REMOTE-USER", "eve")], UserInfo("bob", groups=(AUTHENTICATED,)), id="the first of two"),
        pytest.param(
            [("X-OTHER-USER", "eve"), BOB], UserInfo("bob", groups=(AUTHENTICATED,)), id="the first header name wins"
        ),
        pytest.param(
            [("X-REMOTE-USER", ""), ("X-REMOTE-USER", "eve"), ("X-OTHER-USER", "bob")],
            UserInfo("bob", groups=(AUTHENTICATED,)),
            id="an empty first value: the next header name, not the next value",
        ),
        pytest.param(
            [BOB, ("X-REMOTE-UID", "7"), ("X-REMOTE-UID", "8")],
            UserInfo("bob", uid="7", groups=(AUTHENTICATED,)),
            id="a uid",
        ),
        pytest.param(
            [
                BOB,
                ("X-REMOTE-EXTRA-SCOPES", "a"),
                ("X-MORE-SCOPES", "c"),
                ("X-REMOTE-EXTRA-SCOPES", "b,c"),
                ("X-REMOTE-EXTRA-ACME.COM%2FPROJECT", ""),
                ("X-REMOTE-EXTRA-50%", "d"),
            ],
            UserInfo(
                "bob",
                groups=(AUTHENTICATED,),
                extra={"50%": ("d",), "acme.com/project": ("",), "scopes": ("a", "b,c", "c")},
            ),
            id="extra: lower case, decoded, as it is where it cannot be, prefix by prefix",
        ),
        pytest.param(
            [("X-REMOTE-USER", wire("björn")), ("X-REMOTE-GROUP", wire("日本"))],
            UserInfo("björn", groups=("日本", AUTHENTICATED)),
            id="UTF-8",
        ),
        pytest.param([("X-REMOTE-GROUP", "system:masters")], None, id="groups without a user"),
        pytest.param([("X-REMOTE-USER", "")], None, id="an empty user"),
        pytest.param([("X_REMOTE_USER", "bob")], None, id="an underscore is no hyphen"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_a_user_is_told_of(pairs: list[tuple[str, str]], user: UserInfo | None) -> None:
    assert HEADERS.user(pairs) == user


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([("X-REMOTE-USER", "b\xff")], id="the user"),
        pytest.param([("X-REMOTE-USER", "b\xc0\xaf")], id="the user, overlong"),
        pytest.param([BOB, ("X-REMOTE-UID", "\xff")], id="the uid"),
        pytest.param([BOB, ("X-REMOTE-GROUP", "\xff")], id="a group"),
        pytest.param([BOB, ("X-REMOTE-EXTRA-A", "\xff")], id="a value of extra"),
        pytest.param([BOB, ("X-REMOTE-EXTRA-%FF", "a")], id="a key of extra"),
    ],
)
def test_what_is_not_utf8_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        HEADERS.user(pairs)


@pytest.mark.parametrize(
    ("allowed", "name", "expected"),
    [
        pytest.param(["a", "b"], "b", True, id="one of the names"),
        pytest.param(["a"], "A", False, id="another name"),
        pytest.param([], "anybody", True, id="any name"),
        pytest.param(["a"], "", False, id="no name"),
        pytest.param([], "", True, id="any, also no name"),
        pytest.param([""], "anybody", False, id="a blank one is not any"),
        pytest.param([" "], "anybody", False, id="nor one of spaces"),
        pytest.param(["", ""], "anybody", False, id="nor two of them"),
        pytest.param([""], "", False, id="and nobody has it"),
        pytest.param(["", "a"], "a", True, id="a name beside a blank one"),
        pytest.param([" a"], "a", False, id="a name with a blank is another one"),
    ],
)
def test_names_are_allowed(allowed: list[str], name: str, expected: bool) -> None:
    headers = RequestHeaders.named(allowed_names=allowed, username=[], uid=[], group=[], extra_prefix=[])
    assert headers.allows(name) == expected


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_blank_names_of_header_fields_are_none(blank: str) -> None:
    """As the beginning of a name a blank one would fit every field, Authorization too."""
    names = [blank, "X-Remote"]
    headers = RequestHeaders.named(allowed_names=[], username=names, uid=names, group=names, extra_prefix=names)
    assert {headers.username, headers.uid, headers.group, headers.extra_prefix} == {("X-REMOTE",)}
    nobody = RequestHeaders.named(allowed_names=[], username=[blank], uid=[], group=[], extra_prefix=[blank])
    assert nobody.user([BOB, ("", "eve"), ("AUTHORIZATION", "Bearer x")]) is None


@given(key=st.text(min_size=1), value=st.text(max_size=20))
def test_an_encoded_key_of_extra_is_read_back(key: str, value: str) -> None:
    lower = key.lower()
    # Lower case is made of what was encoded: what has none of its own is read back.
    encoded = quote(lower, safe="").upper()
    user = HEADERS.user([BOB, ("X-REMOTE-EXTRA-" + encoded, wire(value))])
    assert user is not None
    assert user.extra == {lower: (value,)} or not lower.isascii()


@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(["X-REMOTE-USER", "X-REMOTE-GROUP"]) | st.text(st.characters(max_codepoint=126)),
            st.text(st.characters(max_codepoint=255)),
        )
    ),
    rest=st.text(st.characters(max_codepoint=126)),
)
def test_whatever_comes_is_read_or_refused(pairs: list[tuple[str, str]], rest: str) -> None:
    try:
        user = HEADERS.user([*pairs, ("X-REMOTE-EXTRA-" + rest.upper(), "")])
    except ValueError:
        return
    assert user is None or user.name
