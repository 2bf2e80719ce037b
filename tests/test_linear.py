"""Whatever runs over a client's bytes takes a time that grows with their number, and no faster.

Each row is a text that grows by repetition, made for the expression or the loop that reads it. At double the length it
may take a little more than twice as long; a pattern that looks at every rest of the text again takes four times as
long.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator

import pytest
from gunicorn.http import errors
from werkzeug.test import Client

from metrics_apiserver.answering.negotiation import negotiate, wants_pretty
from metrics_apiserver.apis.custom import CUSTOM_METRICS_API
from metrics_apiserver.apis.parameters import parse_parameters
from metrics_apiserver.auth.bearer_token import bearer_token
from metrics_apiserver.auth.front_proxy import RequestHeaders
from metrics_apiserver.auth.impersonation import impersonates
from metrics_apiserver.auth.request_info import request_info
from metrics_apiserver.blueprints.openapi import _check_accept
from metrics_apiserver.configuration import settings_from
from metrics_apiserver.errors import StatusError
from metrics_apiserver.exchange import audit_id_of
from metrics_apiserver.factory import create_app
from metrics_apiserver.logs import hide_secrets, shown_body, shown_headers, shown_selector, shown_target
from metrics_apiserver.logs.bodies import _LONGEST_BODY
from metrics_apiserver.logs.formats import formatter
from metrics_apiserver.model import field_selectors, selectors
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.serving.heads import plain_get
from metrics_apiserver.serving.refusals import refusal
from metrics_apiserver.target import Target, read_target
from tests.conformance.recorded import CLUSTER_YAML
from tests.conftest import asker, environ

# Twice the length of a request line; half of what a head can have.
LENGTH = 1 << 14
# Twice, and as much again for a machine that does something else at the same time.
MOST = 3.2
TRIES = 5
PROXY = RequestHeaders.named(
    allowed_names=[], username=["X-Remote-User"], uid=["X-Remote-Uid"], group=["X-Remote-Group"], extra_prefix=["X-E-"]
)
TEXT, JSON = formatter(as_json=False), formatter(as_json=True)

Function = Callable[[str], object]


def seconds(function: Callable[[], object]) -> float:
    """Give the CPU time of one call: the best of several, each of them long enough to be measured."""
    best, calls = float("inf"), 1
    for _ in range(3):
        while True:
            begin = time.thread_time()
            for _ in range(calls):
                with contextlib.suppress(StatusError, ValueError):
                    function()
            took = time.thread_time() - begin
            if took > 0.001:
                break
            calls *= 4
        best = min(best, took / calls)
    return best


def growth(function: Function, made: Callable[[int], str], length: int = LENGTH) -> float:
    """Give how many times as long the function takes for twice the text, at best."""
    lowest = float("inf")
    for _ in range(TRIES):
        single, double = made(length), made(2 * length)
        lowest = min(lowest, seconds(lambda text=double: function(text)) / seconds(lambda text=single: function(text)))
        if lowest < MOST:
            break
    return lowest


def repeated(unit: str, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda length: before + unit * (length // len(unit)) + after


def record(text: str) -> logging.LogRecord:
    event = logging.LogRecord("x", logging.INFO, "", 0, {"event": text, "path": text, "more": {text: text}}, (), None)
    event._logger = True
    return event


def head(text: str) -> bytes:
    return f"GET /x HTTP/1.1\r\n{text}\r\n".encode("latin-1")


def fields(text: str) -> list[tuple[str, str]]:
    """As header fields: a name and a value for each line."""
    return [("X-Remote-User", "jane"), *(tuple(line.split(":", 1)) for line in text.splitlines() if ":" in line)]


def user(text: str) -> object:
    return PROXY.user([(name.upper(), value) for name, value in fields(text)])


def custom(name: str) -> Function:
    """Read the path of a custom metric with one parameter."""
    return lambda text: CUSTOM_METRICS_API.parse(("namespaces", "shop", "pods", "cart-1", "m"), {name: text})


def info(text: str) -> object:
    return request_info(
        "GET", Target("", ("apis", "custom.metrics.k8s.io", "v1beta1", "namespaces", "shop", "pods"), "", text)
    )


HIDING = [
    *("-eyJ", "eyJ.", ".eyJ", "eyJaaaaa-", "eyJaaaaa.", "eyJaaaaa.eyJ ", "eyJaaaaa", "aeyJ", "eyJaaaaa.a"),
    *("bearer ", "bearer", "bearer=", "bearer\t", 'bearer": "', "bearer+", "bearer%20", "bearer \\", " "),
    *("basic ", "basic", "basic=<", "negotiate ", "digest a=", "digest ", 'digest a="', "digest a=b,", 'digest a=\\"'),
    *("authorization", "authorization:", "authorization :", 'authorization"', 'authorization" , ', "authorization:\\"),
    *("//", "//a", "//a@", "//@", "@", "@//", "//a:b", "/", "?", "?token", "?token=", "?token=a", "&", "&token=&", ";"),
    *(";token", "?%74oken", "?%74oken=a", "%26", "%3d", "%3f", "%2574", "%", "token", "=", "?a=", "&a=b", '"', "\\"),
    *("?token=\\", "?auth", "?%", "&%41", "&%26=", "é", "\u2028", "\x00"),
]
TARGETS = [
    *(
        "/",
        "a",
        "%",
        "%41",
        "%2541",
        "%25",
        "?",
        "&",
        "=",
        "&=",
        "&a",
        "&a=b",
        "&a=",
        "&token=a",
        "&labelSelector=a",
        ";",
    ),
    *(
        ";a=b",
        "#",
        "@",
        "/@",
        "a@",
        "//",
        "//a@",
        ":",
        "a:",
        "\\",
        "%40",
        "%3D",
        "%2F",
        "/token=",
        "&%74oken=a",
        "+",
        " ",
    ),
    *("é", "\x00", "-eyJ", "bearer%20"),
]
JSON_TEXTS = [
    '"',
    '"token',
    '"token"',
    '"token":',
    "\\",
    '\\"',
    '"a":"b",',
    "{",
    "[",
    ",",
    ":",
    "1",
    "a",
    '"\\u0074',
    " ",
]
SELECTORS = [
    *(
        ",",
        "!",
        "=",
        "==",
        "!=",
        "(",
        ")",
        "<",
        ">",
        "a,",
        "a=b,",
        "a=b",
        "!a,",
        "a in (",
        "a in (b),",
        "b,",
        "a ",
        " ",
    ),
    *(
        "a",
        "-",
        "a-",
        "a.",
        "a.a-.",
        "a/",
        "a/b/",
        "A",
        "0",
        "é",
        "\x00",
        "\\",
        "a notin (b,c),",
        "a>0,",
        "a>00",
        "in ",
    ),
]
FIELDS = [
    "\\",
    ",",
    "=",
    "!",
    "!=",
    "==",
    "\\,",
    "\\=",
    "a",
    "a=",
    "a=b,",
    "metadata.name=a,",
    "metadata.name",
    "\n",
    "é",
]
ACCEPTS = [
    *(",", ";", "a/b,", "a/b;", ";a=b", 'a/b;c="', '"', '\\"', "a/b;q=0.5,", "*/*,", ";q=", "=", "a", " ", ", ", '",'),
    *("a/b;v=v2;g=g;as=a,", ";a*0=b", ";a*=utf-8''", "%"),
]
PATHS = ["/", "a", "/a", "%", "%41", "/%41", "%2f", "é", "%ff"]
QUERIES = ["&", "a=b&", "%41", "%", "+", "=", ";", "a%3d&"]
NUMBERS = ["1", "0", "9", "1.", "1e9", ".", "e", "-", "+", "Ki", "m", "٣", "1m"]

ROWS: list[tuple[str, Function, Callable[[int], str]]] = [
    *((f"hiding {unit!r}", hide_secrets, repeated(unit)) for unit in HIDING),
    *((f"hiding after a mark {unit!r}", hide_secrets, repeated(unit, "?token=//bearer ")) for unit in HIDING),
    *((f"text line {unit!r}", lambda text: TEXT.format(record(text)), repeated(unit)) for unit in HIDING[-9:]),
    *((f"JSON line {unit!r}", lambda text: JSON.format(record(text)), repeated(unit)) for unit in HIDING[-9:]),
    *((f"target {unit!r}", shown_target, repeated(unit, "/")) for unit in TARGETS),
    *((f"query {unit!r}", shown_target, repeated(unit, "/x?labelSelector=")) for unit in TARGETS),
    *((f"field {unit!r}", lambda text: shown_headers([("Accept", text)]), repeated(unit)) for unit in HIDING[:20]),
    *(
        (f"named in a field {unit!r}", lambda text: shown_headers([("Via", text)]), repeated(unit))
        for unit in ("token", "token ", "token:", ":", "key=", "a token", '"', "%25", "@", "pass ' ")
    ),
    *((f"selector {unit!r}", shown_selector, repeated(unit)) for unit in ("(", "!", "a,", "key", "a/", "(a ", "%25")),
    ("many header fields", lambda text: shown_headers(fields(text)), repeated("Accept:a\n")),
    ("many header fields that are hidden", lambda text: shown_headers(fields(text)), repeated("X-A:a\n")),
    *((f"body {unit!r}", lambda text: shown_body(text.encode()), repeated(unit)) for unit in JSON_TEXTS),
    *((f"Accept {unit!r}", negotiate, repeated(unit)) for unit in ACCEPTS),
    *((f"Accept of OpenAPI {unit!r}", _check_accept, repeated(unit)) for unit in ACCEPTS),
    *((f"label selector {unit!r}", selectors.parse, repeated(unit)) for unit in SELECTORS),
    *((f"a key {unit!r}", selectors.parse, repeated(unit, "a", "!")) for unit in SELECTORS),
    *((f"label values {unit!r}", selectors.parse, repeated(unit, "a in (b,", ")")) for unit in SELECTORS),
    *((f"field selector {unit!r}", field_selectors.parse, repeated(unit, "a=")) for unit in SELECTORS),
    *((f"labels {unit!r}", selectors.parse_labels, repeated(unit)) for unit in SELECTORS),
    *((f"field selector {unit!r}", custom("fieldSelector"), repeated(unit)) for unit in FIELDS),
    *((f"field's name {unit!r}", custom("fieldSelector"), repeated(unit, "metadata.name=")) for unit in FIELDS),
    *((f"field to be judged {unit!r}", info, repeated(unit, "fieldSelector=metadata.name=a")) for unit in FIELDS),
    *((f"quantity {unit!r}", Quantity.parse, repeated(unit)) for unit in NUMBERS),
    *((f"quantity after a digit {unit!r}", Quantity.parse, repeated(unit, "1")) for unit in NUMBERS),
    *((f"exponent {unit!r}", Quantity.parse, repeated(unit, "1e-")) for unit in NUMBERS),
    *((f"path {unit!r}", read_target, repeated(unit, "/")) for unit in PATHS),
    *((f"parameters {unit!r}", parse_parameters, repeated(unit)) for unit in QUERIES),
    ("audit id", audit_id_of, repeated("a")),
    ("audit id that ends wrong", audit_id_of, repeated("a", "", "\n")),
    ("groups of the front proxy", user, repeated("X-Remote-Group:a\n")),
    ("different extras", user, lambda n: "".join(f"X-E-{each}:a\n" for each in range(n // 10))),
    ("values of one extra", user, repeated("X-E-A:a\n")),
    ("a long name of an extra", user, repeated("%41", "X-E-", ":a\n")),
    ("a name of an extra that is wrongly encoded", user, repeated("%4", "X-E-", ":a\n")),
    ("fields that nobody asks for", user, repeated("X-Other:a\n")),
    ("fields that may impersonate", lambda text: impersonates(fields(text)), repeated("IMPERSONATE-X:a\n")),
    *((f"token {unit!r}", lambda text: bearer_token([("AUTHORIZATION", text)]), repeated(unit, "Bearer "))
      for unit in (" ", "a", "\t", "a ", "Bearer ")),
    ("user agent", lambda text: wants_pretty("", text), repeated("curl")),
    *((f"head {unit!r}", lambda text: plain_get(head(text)), repeated(unit))
      for unit in ("A: b\r\n", "A", "\r\n ", "A:", ":", " ", "\r", "A: b\r", "A:\r\n")),
    *((f"refused line {unit!r}", lambda text: refusal(errors.InvalidRequestLine(text)), repeated(unit))
      for unit in ("A", "a ", "\x00", "Basic ")),
    *((f"refused name {unit!r}", lambda text: refusal(errors.InvalidHeaderName(text)), repeated(unit))
      for unit in ("A", "-", "a ")),
]  # fmt: skip


@pytest.mark.parametrize(("function", "made"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_time_grows_with_the_length_and_no_faster(function: Function, made: Callable[[int], str]) -> None:
    """Measured as CPU time of this thread, and tried again: a busy machine only ever makes it longer."""
    assert growth(function, made) < MOST


@pytest.fixture(name="ask", scope="module")
def _ask() -> Iterator[Callable[..., object]]:
    server = create_app(settings_from(environ(objects=str(CLUSTER_YAML), provider="writable")))
    server.start()
    yield asker(Client(server))
    server.stop()


READ = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric"


@pytest.mark.parametrize(
    ("method", "target", "header"),
    [
        pytest.param("GET", READ, "Accept", id="what is accepted"),
        pytest.param("GET", "/openapi/v2", "Accept", id="what is accepted of OpenAPI"),
        pytest.param("GET", "/openapi/v2", "If-None-Match", id="what the client has"),
        pytest.param("GET", READ, "User-Agent", id="who asks"),
        pytest.param("GET", READ, "Audit-Id", id="the audit id"),
        pytest.param("GET", READ, "Host", id="the host"),
        pytest.param("GET", READ, "Cookie", id="cookies"),
        pytest.param("POST", "/write-metrics/external/namespaces/default/m", "Content-Type", id="the type of a body"),
        pytest.param("GET", f"{READ}?labelSelector=*", "", id="a selector"),
        pytest.param("GET", "/readyz?verbose&exclude=*", "", id="what a probe leaves out"),
        pytest.param("GET", "/*", "", id="a path"),
    ],
)
@pytest.mark.parametrize("unit", ['"', ",", ";", " x", "=", 'a="', "W/", "/", "&exclude=a", "%41", "-eyJ", "a=b;"])
def test_time_of_a_whole_request_grows_with_its_length(
    ask: Callable[..., object], method: str, target: str, header: str, unit: str
) -> None:
    """Whatever of it the framework reads, and the log shows."""

    def request(text: str) -> object:
        return ask(method, target.replace("*", text) if "*" in target else target, {header: text} if header else {})

    # Of what a request line has room for, and a field; less would be all framework, and no text.
    assert growth(request, repeated(unit, "x", "x"), 1 << 14) < MOST


def test_measure_finds_a_pattern_that_is_quadratic() -> None:
    """The one that hid JSON web tokens before, for the first part of which every `eyJ` was tried to the end."""
    before = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?")
    # Whoever has the processor meanwhile makes the shorter text slow as well: once has to be enough.
    assert any(growth(before.search, repeated("-eyJ"), 1 << 13) > MOST for _ in range(5))


def test_body_is_read_as_far_as_it_is_shown() -> None:
    """Its length makes no difference beyond."""
    assert len(shown_body(b"1" * 10 * _LONGEST_BODY)) < 2 * _LONGEST_BODY


@pytest.mark.parametrize("digits", [4300, 5000, 100_000])
def test_number_of_many_digits_is_no_quantity(digits: int) -> None:
    """Python reads none of that length, and says so with a ValueError of its own."""
    with pytest.raises(ValueError, match="too long"):
        Quantity.parse("1" * digits)
