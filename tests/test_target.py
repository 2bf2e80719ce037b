"""The target of a request: read once, by everybody the same, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.errors import BadRequestError, NotFoundError, StatusError
from metrics_apiserver.target import read_target


@pytest.mark.parametrize(
    ("raw", "segments", "path", "query"),
    [
        pytest.param("/", (), "/", "", id="the root"),
        pytest.param("/?a", (), "/", "a", id="the root with a query"),
        pytest.param("/apis", ("apis",), "/apis", "", id="one segment"),
        pytest.param("/apis/", ("apis",), "/apis/", "", id="a slash at the end"),
        pytest.param("/a/%2A", ("a", "*"), "/a/*", "", id="an encoded star is a star"),
        pytest.param("/a/%252F", ("a", "%2F"), "/a/%2F", "", id="decoded once"),
        pytest.param("/a%3Fb?c?d", ("a?b",), "/a?b", "c?d", id="an encoded question mark is no query"),
        pytest.param("/a%23b", ("a#b",), "/a#b", "", id="an encoded number sign is no fragment"),
        pytest.param("/a:/b/c", ("a:", "b", "c"), "/a:/b/c", "", id="a colon"),
        pytest.param("/apis?x://y/healthz", ("apis",), "/apis", "x://y/healthz", id="a URL in the query"),
        pytest.param("/a;b=c", ("a;b=c",), "/a;b=c", "", id="a semicolon is a letter like others"),
        pytest.param("/a\\b", ("a\\b",), "/a\\b", "", id="a backslash is no slash"),
        pytest.param("/user@host/x", ("user@host", "x"), "/user@host/x", "", id="an at sign"),
        pytest.param("/%C3%A4", ("ä",), "/ä", "", id="UTF-8"),
        pytest.param("/a...", ("a...",), "/a...", "", id="dots in a name"),
    ],
)
def test_a_target_is_read(raw: str, segments: tuple[str, ...], path: str, query: str) -> None:
    target = read_target(raw)
    assert (target.raw, target.segments, target.path, target.query) == (raw, segments, path, query)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="nothing"),
        pytest.param("*", id="the asterisk"),
        pytest.param("example.org:443", id="an authority"),
        pytest.param("http://example.org/apis", id="the absolute form"),
        pytest.param("a:/metrics?://x/healthz", id="a scheme, and a second one in the query"),
        pytest.param("a:/apis", id="a scheme and a path"),
        pytest.param("apis", id="no slash in front"),
        pytest.param("?/apis", id="a query in front"),
        pytest.param("\\apis", id="a backslash in front"),
        pytest.param("/apis#x", id="a fragment"),
        pytest.param("/apis?a#b", id="a fragment after the query"),
        pytest.param("/ä", id="a letter that is not ASCII"),
        pytest.param("/a b", id="a blank"),
        pytest.param("/a\x7f", id="a control character"),
        pytest.param("/a\n", id="a line feed at the end"),
        pytest.param("/a?b\r\nc", id="a line end in the query"),
    ],
)
def test_what_has_not_the_origin_form_is_a_bad_request(raw: str) -> None:
    with pytest.raises(BadRequestError, match="the request target"):
        read_target(raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("//", id="two slashes"),
        pytest.param("//apis", id="two slashes in front"),
        pytest.param("//user@host/apis", id="what looks like an authority"),
        pytest.param("/a//b", id="two slashes within"),
        pytest.param("/a//", id="two slashes at the end"),
        pytest.param("/a://b/healthz", id="what looks like a scheme"),
        pytest.param("/.", id="a dot"),
        pytest.param("/a/..", id="two dots at the end"),
        pytest.param("/a/../b", id="two dots"),
        pytest.param("/a/%2e%2E/b", id="two encoded dots"),
        pytest.param("/a/.%2e/b", id="two dots, one encoded"),
        pytest.param("/a%2Fb", id="an encoded slash"),
        pytest.param("/a%2f..%2fb", id="encoded slashes and dots"),
        pytest.param("/a%00", id="NUL"),
        pytest.param("/a%0A", id="an encoded line feed"),
        pytest.param("/a%E2%80%AE", id="a mark that turns the direction of the text"),
        pytest.param("/a%FF", id="wrong UTF-8"),
        pytest.param("/a%C0%AF", id="a slash in overlong UTF-8"),
        pytest.param("/a%ED%A0%80", id="half a surrogate pair"),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_found(raw: str) -> None:
    with pytest.raises(NotFoundError, match="could not find the requested resource"):
        read_target(raw)


@given(st.text(st.characters(max_codepoint=255)) | st.from_regex(r"/[!-~]{0,40}", fullmatch=True))
def test_whatever_comes_is_read_as_what_routes_can_read_back_or_refused(raw: str) -> None:
    try:
        target = read_target(raw)
    except StatusError as error:
        assert error.code in (400, 404)  # noqa: PT017 - not every target is refused
        return
    assert target.raw == raw
    assert target.path.startswith("/")
    assert not target.path.startswith("//")
    assert tuple(filter(None, target.path.split("/"))) == target.segments
    assert not {"", ".", ".."} & set(target.segments)
