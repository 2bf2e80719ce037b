"""The head of a plain GET: what is read without gunicorn's parser is what gunicorn's parser would have read."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from metrics_apiserver.serving.heads import Head, plain_get

PLAIN = (
    b"GET /apis?labelSelector=a%3Db HTTP/1.1\r\n"
    b"Host: x\r\nX-Remote-Group: a\r\nX-Remote-Group: b,c\r\nAccept:*/*\r\n\r\n"
)


def our_settings() -> Config:
    """Make gunicorn's settings as ours, as far as its parser goes."""
    cfg = Config()
    # Of metrics_apiserver.serving.config, which cannot be imported without a certificate.
    cfg.set("limit_request_line", 8190)
    cfg.set("limit_request_fields", 1000)
    cfg.set("header_map", "drop")
    cfg.set("http_parser", "python")
    cfg.set("forwarder_headers", "")
    cfg.set("forwarded_allow_ips", "192.0.2.1")
    return cfg


def _parsed(head: bytes) -> Head | None:
    """What gunicorn's parser reads, in our settings; None if it refuses."""
    cfg = our_settings()
    try:
        request = next(RequestParser(cfg, iter([head]), ("127.0.0.1", 1)))
    except (ParseException, StopIteration):
        return None
    assert request.method == "GET"
    return Head(request.uri, tuple(request.headers), len(head), request.should_close())


def test_plain_get_is_read() -> None:
    """Names in upper case, values without the blanks around them, repeated fields apart."""
    head = plain_get(PLAIN + b"GET /next HTTP/1.1\r\n")
    assert head == Head(
        "/apis?labelSelector=a%3Db",
        (("HOST", "x"), ("X-REMOTE-GROUP", "a"), ("X-REMOTE-GROUP", "b,c"), ("ACCEPT", "*/*")),
        len(PLAIN),
        close=False,
    )


@pytest.mark.parametrize(
    ("connection", "close"),
    [
        pytest.param(b"close", True, id="close"),
        pytest.param(b" Close\t", True, id="in another case, with blanks around it"),
        pytest.param(b"keep-alive", False, id="keep-alive"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_a_word_on_the_connection_is_read(connection: bytes, close: bool) -> None:
    """Kubelets' probes say close."""
    head = plain_get(b"GET /livez HTTP/1.1\r\nConnection:" + connection + b"\r\n\r\n")
    assert head is not None
    assert head.close is close


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(b"HEAD / HTTP/1.1\r\n\r\n", id="another method"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="another version"),
        pytest.param(b"GET https://x/ HTTP/1.1\r\n\r\n", id="the absolute form"),
        pytest.param(b"GET /#a HTTP/1.1\r\n\r\n", id="a fragment"),
        pytest.param(b"\r\nGET / HTTP/1.1\r\n\r\n", id="an empty line before it"),
        pytest.param(b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n", id="a target that is not ASCII"),
        pytest.param(b"GET / HTTP/1.1\r\nA: \xc3\xa4\r\n\r\n", id="a value that is not ASCII"),
        pytest.param(b"GET / HTTP/1.1\r\nA_b: c\r\n\r\n", id="an underscore in a name"),
        pytest.param(b"GET / HTTP/1.1\r\nA : b\r\n\r\n", id="a blank before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", id="a folded field"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", id="a bare line feed"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", id="a bare carriage return"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", id="a length"),
        pytest.param(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", id="a transfer coding"),
        pytest.param(b"GET / HTTP/1.1\r\nConnection: keep-alive, close\r\n\r\n", id="two words on the connection"),
        pytest.param(b"GET / HTTP/1.1\r\nConnection: a\r\nConnection: close\r\n\r\n", id="two Connection fields"),
        pytest.param(b"GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n", id="an upgrade of the connection"),
        pytest.param(b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", id="an expectation"),
        pytest.param(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", id="an upgrade"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", id="many fields"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"b" * 8190 + b"\r\n\r\n", id="a large head"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\r\n", id="half a head"),
    ],
)
def test_anything_else_is_left_to_gunicorn(received: bytes) -> None:
    """Good or bad, it is not plain."""
    assert plain_get(received) is None


FIELDS = st.sampled_from(
    [
        b"Host: x",
        b"Accept: */*",
        b"Authorization: Bearer a.b-c",
        b"X-Remote-Group: a, b",
        b"A:\t b \t",
        b"Connection: close",
        b"Connection: Keep-Alive",
    ]
)
MARKS = st.sampled_from([b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b"_", b"#", b"?", b"%"])
NOISE = st.one_of(st.binary(max_size=6), MARKS)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A plain head, with something put in the place of something else now and then."""
    target = draw(st.sampled_from([b"/", b"/apis", b"/a/b?c=d&e=f", b"//a", b"/%2F/..", b"*", b'/"<>\\^`{|}']))
    head = b"\r\n".join([b"GET " + target + b" HTTP/1.1", *draw(st.lists(FIELDS, max_size=4)), b"", b""])
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(head)))
        head = head[:at] + draw(NOISE) + head[at + draw(st.integers(0, 2)) :]
    return head


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(head=heads())
@example(head=PLAIN)
def test_what_is_read_is_what_gunicorn_would_read(head: bytes) -> None:
    """Nothing that it refuses is taken, and nothing is taken for something else."""
    found = plain_get(head)
    if found is not None:
        assert found == _parsed(head[: found.length])
