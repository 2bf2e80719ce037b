"""The log: what a line says at which verbosity, in which form, and what no line ever says."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import Client

from metrics_apiserver import logs
from metrics_apiserver.auth.access import Judgement
from metrics_apiserver.auth.request_info import request_info
from metrics_apiserver.auth.user import ANONYMOUS
from metrics_apiserver.environ import JUDGEMENT
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.target import read_target
from tests.conftest import asker
from tests.fakes import LOGGER

READ = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric"
WRITE = "/write-metrics/namespaces/shop/pods/cart-1/m"
TOKEN = "eyJhbGciOiJSUzI1NiIs.eyJzdWIiOiJzeXN0ZW0iLCJh.c2lnbmF0dXJl"
Log = Callable[..., io.StringIO]


@pytest.fixture(name="log_at")
def _log_at() -> Iterator[Log]:
    """Set the process's log up, into a string."""
    root = logging.getLogger()
    names = ["metrics_apiserver", "metrics_apiserver_providers", "urllib3.connectionpool"]
    before = root.level, list(root.handlers), [logging.getLogger(name).level for name in names]

    def configure(verbosity: int, *, as_json: bool = False) -> io.StringIO:
        stream = io.StringIO()
        logs.configure(verbosity=verbosity, as_json=as_json, stream=stream)
        return stream

    yield configure
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)


def requests_of(stream: io.StringIO) -> list[str]:
    return [line for line in stream.getvalue().splitlines() if " metrics_apiserver.requests: request " in line]


def test_a_request_is_one_line_of_text(client: Client, log_at: Log) -> None:
    """When, how bad, who, and the request's fields by name."""
    stream = log_at(2)
    answer = client.get(f"{READ}?labelSelector=foo%3Dbar", headers={"Audit-Id": "a-1"})
    (line,) = stream.getvalue().splitlines()
    time, level, process, name, message, *fields = line.split()
    assert (time[10], time[-1], level, name, message) == ("T", "Z", "INFO", "metrics_apiserver.requests:", "request")
    assert process.strip("[]").isdigit()
    found = dict(field.split("=", 1) for field in fields)
    assert float(found.pop("latency_ms")) > 0
    assert found == {
        "audit_id": "a-1",
        "user": "-",
        "verb": "GET",
        "path": f'"{READ}?labelSelector=foo%3Dbar"',
        "code": "200",
        "size": str(len(answer.data)),
    }


def test_a_request_is_one_object_of_json(client: Client, log_at: Log) -> None:
    """With the same fields, numbers as numbers."""
    stream = log_at(2, as_json=True)
    judged = Judgement(ANONYMOUS, request_info("GET", read_target(READ)), None)
    client.get(f"{READ}?labelSelector=a", headers={"Audit-Id": "a-1"}, environ_overrides={JUDGEMENT: judged})
    line = json.loads(stream.getvalue())
    assert {"time", "pid", "latency_ms"} < line.keys()
    assert (line["level"], line["logger"], line["message"]) == ("info", "metrics_apiserver.requests", "request")
    assert (line["audit_id"], line["user"], line["verb"], line["code"]) == ("a-1", "system:anonymous", "GET", 200)
    assert line["path"] == f"{READ}?labelSelector=a"


@pytest.mark.parametrize(
    ("path", "verbosity", "lines"),
    [
        pytest.param(READ, 0, 0, id="no request where only warnings are wanted"),
        pytest.param(READ, 2, 1, id="a read by default"),
        pytest.param("/no/such/path", 2, 1, id="a failure too"),
        pytest.param("/livez", 2, 0, id="no probe by default"),
        pytest.param("/readyz/ping", 3, 0, id="no single check"),
        pytest.param("/metrics", 2, 0, id="no scrape by default"),
        pytest.param("/livez", 4, 1, id="a probe with the decisions"),
        pytest.param("/metrics", 4, 1, id="a scrape with the decisions"),
        pytest.param("/metricsx", 2, 1, id="a path that only begins like one"),
    ],
)
def test_line_depends_on_verbosity(client: Client, log_at: Log, path: str, verbosity: int, lines: int) -> None:
    """Probes and scrapes are many, and nobody's."""
    stream = log_at(verbosity)
    client.get(path)
    assert len(requests_of(stream)) == lines


@pytest.mark.parametrize(
    ("verbosity", "there", "missing"),
    [
        pytest.param(2, [], ["accept=", "provider writable"], id="2 the requests alone"),
        pytest.param(
            4,
            [
                "accept=application/yaml content_type=application/yaml",
                "provider writable answers for my-external-metric",
            ],
            ["request headers"],
            id="4 who answered, and in which form",
        ),
        pytest.param(6, ["provider writable"], ["request headers"], id="6 the cluster's URLs"),
        pytest.param(8, ['"X-Remote-User": "jane"', '"Content-Type": '], ["response body"], id="8 headers"),
        pytest.param(10, ["response body", "my-external-metric"], [], id="10 bodies"),
    ],
)
def test_more_verbosity_says_more(
    client: Client, log_at: Log, verbosity: int, there: list[str], missing: list[str]
) -> None:
    """As klog's numbers have it."""
    stream = log_at(verbosity)
    client.get(READ, headers={"Accept": "application/yaml", "X-Remote-User": "jane"})
    text = stream.getvalue()
    assert [words for words in there if words not in text] == []
    assert [words for words in missing if words in text] == []


@pytest.mark.parametrize("verbosity", [2, 6])
def test_urls_that_the_cluster_is_asked_are_logged_at_six(log_at: Log, verbosity: int) -> None:
    """Ours at the level URLS, and those of the client's library."""
    stream = log_at(verbosity)
    logging.getLogger("metrics_apiserver.kube").log(logs.URLS, "GET https://c/ours")
    logging.getLogger("urllib3.connectionpool").debug("GET https://c/library")
    assert [words in stream.getvalue() for words in ("c/ours", "c/library")] == [verbosity == 6] * 2


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    ("headers", "query", "body"),
    [
        pytest.param({"Authorization": f"Bearer {TOKEN}"}, "", b'"1"', id="a bearer token"),
        pytest.param({"Authorization": "Bearer s3cr3t-opaque"}, "", b'"1"', id="a token that is not a JSON web token"),
        pytest.param({"Authorization": "Basic s3cr3t-opaque"}, "", b'"1"', id="a password"),
        pytest.param({"Cookie": "session=s3cr3t-opaque"}, "", b'"1"', id="a cookie"),
        pytest.param({"X-Auth-Token": "s3cr3t-opaque"}, "", b'"1"', id="a header that is called token"),
        pytest.param(
            {"Sec-Websocket-Protocol": "base64url.bearer.authorization.k8s.io.s3cr3t-opaque, x"},
            "",
            b'"1"',
            id="the token of a websocket",
        ),
        pytest.param({"X-Note": f"it is {TOKEN}"}, "", b'"1"', id="a JSON web token anywhere"),
        pytest.param({}, "access_token=s3cr3t-opaque", b'"1"', id="a token in the query"),
        pytest.param({}, "", b'{"spec": {"token": "s3cr3t-opaque"}}', id="a token in the body"),
        pytest.param({}, "", f'"{TOKEN}"'.encode(), id="a JSON web token as the body"),
    ],
)
def test_secret_is_in_no_line(
    server: MetricsServer, log_at: Log, as_json: bool, headers: dict[str, str], query: str, body: bytes
) -> None:
    """At the highest verbosity, in every form."""
    stream = log_at(10, as_json=as_json)
    # Without a jar, which would take the cookie out.
    asker(Client(server, use_cookies=False))("POST", f"{WRITE}?{query}", {"X-Remote-User": "jane", **headers}, body)
    text = stream.getvalue()
    assert "s3cr3t" not in text
    assert TOKEN[:20] not in text
    assert logs.HIDDEN in text
    assert "jane" in text


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x\n2026-11-21T12:00:00.000Z ERROR forged", id="a line feed"),
        pytest.param("x\r\nforged", id="a carriage return"),
        pytest.param("x\u2028forged\x85forged\x0bforged", id="Unicode's other line ends"),
        pytest.param("x\x1b[2Jforged", id="a terminal's command"),
        pytest.param("x\x00forged\udc80", id="a NUL, and half a pair"),
        pytest.param("x\u202eforged", id="a mark that turns the text round"),
    ],
)
def test_client_cannot_write_a_line_of_its_own(client: Client, log_at: Log, as_json: bool, text: str) -> None:
    """Whatever stands in the path, in the audit id or in a message."""
    stream = log_at(2, as_json=as_json)
    wire = text.encode("utf-8", "surrogatepass").decode("latin-1")
    environ = {"RAW_URI": f"/{wire}", "PATH_INFO": f"/{wire}", "HTTP_AUDIT_ID": wire}
    client.open("/", method="GET", environ_overrides=environ)
    LOGGER.warning("no such thing: %s", text)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_a_value_cannot_forge_a_field(client: Client, log_at: Log) -> None:
    """A blank or a quote stays inside its value."""
    stream = log_at(2)
    client.open("/", environ_overrides={"RAW_URI": '/x code=200 user="root"', "PATH_INFO": "/x"})
    assert r'path="/x code=200 user=\"root\"" code=400 ' in stream.getvalue()


def test_an_exception_is_shown_and_makes_no_line(log_at: Log) -> None:
    """In text its lines are indented; in JSON it is a field."""
    forged = "no\n2026-11-21T12:00:00.000Z ERROR forged"
    for as_json in (False, True):
        stream = log_at(2, as_json=as_json)
        LOGGER.error("it failed", exc_info=ValueError(forged))
        first, *rest = stream.getvalue().splitlines()
        assert "it failed" in first
        if as_json:
            assert rest == []
            assert forged in json.loads(first)["exception"]
        else:
            assert rest[0] == "    ValueError: no"
            assert all(line.startswith("    ") for line in rest)


def test_a_request_that_no_route_answers_for_is_logged_too(client: Client, log_at: Log) -> None:
    """An application that raises leaves a line, and its exception goes on."""
    stream = log_at(2)
    observation: Any = client.application.wsgi_app._app  # type: ignore[union-attr]

    def failing(*_: object) -> list[bytes]:
        raise RuntimeError("no answer")

    own, observation._app = observation._app, failing
    with pytest.raises(RuntimeError):
        client.get("/x")
    observation._app = own
    assert " code=500 " in stream.getvalue()


@pytest.mark.parametrize(
    ("verbosity", "level"),
    [(0, 30), (1, 30), (2, 20), (3, 20), (4, 10), (5, 9), (6, logs.URLS), (8, logs.HEADERS), (10, logs.BODIES)],
)
def test_the_level_of_a_verbosity(verbosity: int, level: int) -> None:
    """Each even number of klog is a level of its own."""
    assert logs.level_of(verbosity) == level
