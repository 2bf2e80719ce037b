"""Each way in which the other server fails, and the one sentence that comes of it."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.model import selectors
from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import (
    BadGatewayError,
    BadRequestError,
    ExternalMetricInfo,
    GatewayTimeoutError,
    MetricFailedError,
    MetricNotFoundError,
    MetricUnavailableError,
    ServiceUnavailableError,
    StatusError,
)
from metrics_apiserver.settings import BreakerSettings
from metrics_apiserver_providers.proxy import ProxyProvider
from tests.dispatch.making import instance, router
from tests.providers.proxy.conftest import MakeProxy, read_context
from tests.providers.proxy.other import Answer, OtherServer, Request, custom_list, external_list, reply, status

QUEUE = ExternalMetricInfo("queue")
GOOD = {"metricName": "queue", "metricLabels": {}, "timestamp": "2026-11-21T12:00:00Z", "value": "1"}


def read(proxy: ProxyProvider, seconds: float = 10.0) -> Any:
    return proxy.get_external_metric(read_context(seconds), "shop", selectors.EVERYTHING, QUEUE)


def raw(content: bytes, *, kept: bool = False) -> Answer:
    """Send these bytes, and close the connection."""

    def answer(connection: Any, request: Request) -> bool:
        connection.sendall(content)
        return kept

    return answer


def item(**changes: Any) -> dict[str, Any]:
    return external_list({**GOOD, **changes})


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        pytest.param(status(404, "no such queue"), MetricNotFoundError, "no such queue", id="not found, in a Status"),
        pytest.param(status(400, "bad selector"), BadRequestError, "bad selector", id="a bad request, in a Status"),
        pytest.param(status(404, "a\n  b"), MetricNotFoundError, "a\n  b", id="a sentence with its spaces"),
        pytest.param(
            reply(404, b"404 page not found"),
            BadGatewayError,
            "OTHER answers 404 without a Status",
            id="a bare 404",
        ),
        pytest.param(reply(400, {"message": "x"}), BadGatewayError, "OTHER answers 400 Bad Request", id="a bare 400"),
        pytest.param(
            status(401, "who are you"),
            MetricFailedError,
            "OTHER does not know this server: its token, or its client certificate, is refused (401)",
            id="our credentials are refused",
        ),
        pytest.param(
            status(403, "no rights"),
            MetricFailedError,
            "OTHER does not let this server read: give its account a ClusterRole such as"
            " metrics-apiserver:metrics-reader"
            " (get on custom.metrics.k8s.io, list on external.metrics.k8s.io) (403: no rights)",
            id="our account lacks rights",
        ),
        pytest.param(
            status(500, "scaler broke"),
            MetricFailedError,
            "OTHER answers 500 Internal Server Error: scaler broke",
            id="its own failure",
        ),
        pytest.param(
            reply(500, b"<html>"),
            BadGatewayError,
            "OTHER answers 500 Internal Server Error",
            id="a failure of a proxy",
        ),
        pytest.param(
            status(503, "starting"),
            MetricUnavailableError,
            "OTHER answers 503 Service Unavailable: starting",
            id="it is not available",
        ),
        pytest.param(
            status(429, "slow down"),
            MetricUnavailableError,
            "OTHER answers 429 Too Many Requests: slow down",
            id="too many requests",
        ),
        pytest.param(
            status(504, "late"),
            MetricFailedError,
            "OTHER answers 504 Gateway Timeout: late",
            id="its own time is over",
        ),
        pytest.param(
            reply(302, b"", Location="https://localhost:1/"),
            BadGatewayError,
            "OTHER answers 302 Found",
            id="a redirect, which would carry the credentials elsewhere",
        ),
        pytest.param(reply(999, b""), BadGatewayError, "OTHER answers 999", id="no status of HTTP"),
        pytest.param(status(404, "x" * 10_000), MetricNotFoundError, "x" * 4096, id="a sentence without an end is cut"),
    ],
)
def test_refusal_becomes_one_sentence(
    answer: Answer,
    error: type[StatusError],
    sentence: str,
    make_proxy: MakeProxy,
    other: OtherServer,
    tmp_path: Path,
) -> None:
    """What the client did it is told in the other server's words; the rest is named as the provider's."""
    other.answer = answer
    (tmp_path / "token").write_text("abc", encoding="ascii")
    with pytest.raises(error) as caught:
        read(make_proxy(tokenFile=str(tmp_path / "token")))
    # Not one that says more: a bare answer says nothing of the metric.
    assert isinstance(caught.value, MetricFailedError | MetricUnavailableError) == issubclass(
        error, MetricFailedError | MetricUnavailableError
    )
    passed_on = error in (MetricNotFoundError, BadRequestError)
    prefix = "" if passed_on else "provider keda: "
    assert caught.value.message == prefix + sentence.replace("OTHER", "the other server")
    assert caught.value.cause == ("" if passed_on else other.url)
    assert len(other.requests) == 1


def test_own_time_of_the_other_server_is_a_timeout(proxy: ProxyProvider, other: OtherServer) -> None:
    other.answer = status(504, "late")
    with pytest.raises(StatusError) as caught:
        read(proxy)
    assert (caught.value.code, caught.value.reason) == (504, "Timeout")


def test_who_showed_nothing_is_told_so_and_not_to_bind_a_role(proxy: ProxyProvider, other: OtherServer) -> None:
    """For a Kubernetes API server it is `system:anonymous`, and no role should be bound to that."""
    other.answer = status(403, 'User "system:anonymous" cannot list resource "queue"')
    with pytest.raises(MetricFailedError) as caught:
        read(proxy)
    assert caught.value.message == (
        "provider keda: the other server was not told who asks, and lets nobody in without that: this server found no"
        " token (tokenFile) and no client certificate (clientCertFile) to show"
        ' (403: User "system:anonymous" cannot list resource "queue")'
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param(b"", "it is not JSON", id="nothing"),
        pytest.param(b"\x00\xff\xfe", "it is not JSON", id="bytes"),
        pytest.param(b"<html></html>", "it is not JSON", id="a web page"),
        pytest.param(json.dumps(external_list()).encode()[:-5], "it is not JSON", id="JSON that is cut off"),
        pytest.param(
            json.dumps(item()).replace('"1"', "NaN").encode(), "it is not JSON", id="NaN, which JSON does not have"
        ),
        pytest.param(b"[" * 100_000, "it is not JSON", id="JSON as deep as a well"),
        pytest.param(b"[]", "its kind is not ExternalMetricValueList", id="a list"),
        pytest.param(b"null", "its kind is not ExternalMetricValueList", id="null"),
        pytest.param(custom_list(), "its kind is not ExternalMetricValueList", id="the other API's kind"),
        pytest.param(
            {**external_list(), "apiVersion": "external.metrics.k8s.io/v2"},
            "its apiVersion is not external.metrics.k8s.io/v1beta1",
            id="another version",
        ),
        pytest.param({**external_list(), "items": {}}, "items is not a list", id="items that are none"),
        pytest.param({**external_list(), "items": [1]}, "items[0] is not an object", id="an item that is none"),
        pytest.param(item(metricName=1), "items[0].metricName is not a string", id="a number as a name"),
        pytest.param(item(metricLabels=[]), "items[0].metricLabels is not a map of strings", id="labels in a list"),
        pytest.param(item(metricLabels={"a": 1}), "items[0].metricLabels is not a map of strings", id="a number label"),
        pytest.param(item(timestamp="noon"), "items[0].timestamp is not a time", id="a time that is none"),
        pytest.param(item(timestamp=12), "items[0].timestamp is not a time", id="a time in seconds"),
        pytest.param(
            item(timestamp="2026-11-21T12:00:00"), "items[0].timestamp is not a time with its zone", id="a local time"
        ),
        pytest.param(
            item(timestamp="0001-01-01T00:00:00+01:00"), "items[0].timestamp is not a time", id="a time before all time"
        ),
        pytest.param(item(window="30s"), "items[0].window is not a number of seconds", id="a window in words"),
        pytest.param(item(window=-1), "items[0].window is not a number of seconds", id="a window backwards"),
        pytest.param(item(window=True), "items[0].window is not a number of seconds", id="a window of truth"),
        pytest.param(item(window=2**63), "items[0].window is not a number of seconds", id="a window without an end"),
        pytest.param(item(value="ten"), "items[0].value is not a quantity", id="a value in words"),
        pytest.param(item(value=None), "items[0].value is not a quantity", id="no value"),
        pytest.param(item(value=True), "items[0].value is not a quantity", id="a true value"),
        pytest.param(item(value="1e99999"), "items[0].value is not a quantity", id="a value beyond all bounds"),
        pytest.param(
            {**external_list(), "items": [GOOD, {**GOOD, "value": "x"}]},
            "items[1].value is not a quantity",
            id="the second of two",
        ),
    ],
)
def test_garbage_is_one_clear_error(
    body: bytes | dict[str, Any], problem: str, proxy: ProxyProvider, other: OtherServer
) -> None:
    """Nothing of an answer counts where a part is wrong, and nothing of it is quoted."""
    other.answer = reply(200, body)
    with pytest.raises(BadGatewayError) as caught:
        read(proxy)
    assert caught.value.message == f"provider keda: the other server answers what cannot be read: {problem}"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(raw(b"hello\r\n\r\n"), "it is not HTTP", id="another protocol"),
        pytest.param(raw(b""), "Remote end closed connection without response", id="nothing at all"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
            "the connection was closed before its end",
            id="half a body",
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "the connection was closed before its end",
            id="wrong chunks",
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), "it is not HTTP", id="headers without an end"
        ),
        pytest.param(
            reply(200, b"not packed", **{"Content-Encoding": "gzip"}), "it cannot be unpacked", id="no gzip at all"
        ),
    ],
)
def test_broken_answer_is_one_clear_error(
    answer: Answer, problem: str, proxy: ProxyProvider, other: OtherServer
) -> None:
    """The next read has another connection."""
    other.answer = answer
    with pytest.raises(BadGatewayError) as caught:
        read(proxy)
    assert caught.value.whole == f"provider keda: the other server broke off its answer: {other.url}: {problem}"
    other.answer = reply(200, item())
    assert len(read(proxy)) == 1


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_huge_answer_is_read_up_to_the_bound(
    packed: bool, proxy: ProxyProvider, other: OtherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is of what is unpacked: a small answer may become a huge one."""
    monkeypatch.setattr(proxy._client, "most_bytes", 1024 * 1024)
    content = b" " * (1024 * 1024 + 1)
    other.answer = reply(200, content, packed=packed)
    with pytest.raises(BadGatewayError, check=lambda error: error.cause.endswith("it has more than 1 MiB")):
        read(proxy)
    assert len(gzip.compress(content)) < 10_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 10**6, id="trailers"
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 10**6, id="heads of which none is the last"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"x" * 30_000 + b"\r\n \r\n") * 200,
            id="long extensions of short chunks",
        ),
    ],
)
def test_what_is_beside_the_body_is_bounded_too(
    content: bytes, proxy: ProxyProvider, other: OtherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as the body does, and is read no further."""
    monkeypatch.setattr(proxy._client, "most_bytes", 1024 * 1024)
    other.answer = raw(content)
    with pytest.raises(BadGatewayError, match="broke off its answer"):
        read(proxy)


def drip(content: bytes, pieces_of: int, stop: threading.Event) -> Answer:
    """Send a piece, and another one before any timeout of the socket is over."""

    def answer(connection: Any, request: Request) -> bool:
        for start in range(0, len(content), pieces_of):
            connection.sendall(content[start : start + pieces_of])
            if stop.wait(0.02):
                return False
        return False

    return answer


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(HEAD + b"X-Long: " + b"x" * 10_000, id="a head, byte by byte"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, id="to be continued, for ever"),
        pytest.param(HEAD + b"\r\n" + b" " * 10_000, id="a body, byte by byte"),
        pytest.param(CHUNKED + b"1;" + b"x" * 10_000, id="an extension of a chunk, byte by byte"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: y\r\n" * 1000, id="trailers, byte by byte"),
    ],
)
def test_slow_answer_ends_at_the_deadline(content: bytes, proxy: ProxyProvider, other: OtherServer) -> None:
    """The deadline is for the whole answer: no piece of it begins it anew."""
    stop = threading.Event()
    other.answer = drip(content, 1, stop)
    begun = time.monotonic()
    with pytest.raises(GatewayTimeoutError) as caught:
        read(proxy, 0.3)
    stop.set()
    assert time.monotonic() - begun < 5
    assert caught.value.whole == f"provider keda: the other server did not answer in time: {other.url}"


def test_read_without_time_left_asks_nobody(proxy: ProxyProvider, other: OtherServer) -> None:
    """Nobody waits for its answer."""
    with pytest.raises(GatewayTimeoutError):
        read(proxy, 0)
    assert other.requests == []


def test_server_that_is_away_is_named(make_proxy: MakeProxy, other: OtherServer) -> None:
    """With the cause, and not only with its absence."""
    other.close()
    with pytest.raises(ServiceUnavailableError) as caught:
        read(make_proxy())
    assert caught.value.whole == f"provider keda: the other server cannot be reached: {other.url}: Connection refused"


def test_server_that_does_not_speak_tls_is_named(make_proxy: MakeProxy) -> None:
    """A plain one, and one that says nothing until the time for connecting is over."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = make_proxy(url=f"https://localhost:{silent.getsockname()[1]}", connectTimeout="100ms")
        with pytest.raises(GatewayTimeoutError, match="did not answer in time"):
            read(proxy)


@pytest.mark.parametrize(
    ("broken", "code", "after"),
    [
        pytest.param(status(500, "scaler broke"), 502, 502, id="a Status of 500, as KEDA's"),
        pytest.param(status(503, "no leader"), 503, 503, id="a Status of 503"),
        pytest.param(status(403, "not yours"), 502, 502, id="a Status of 403"),
        pytest.param(reply(500, b"<html>"), 502, 503, id="no Status: it is asked for that metric no more"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n"), 502, 503, id="an answer that is broken off, too"),
    ],
)
def test_broken_metric_stops_no_other(
    broken: Answer, code: int, after: int, make_proxy: MakeProxy, other: OtherServer
) -> None:
    """Not of the same namespace, nor of another tenant; however often anybody reads it."""
    good = reply(200, external_list(GOOD))
    other.answer = lambda to, request: (broken if "/broken" in request.target else good)(to, request)
    kept = instance(make_proxy(), name="keda", clock=SystemClock(), breaker=BreakerSettings(failures=2))
    asked = router(kept, clock=SystemClock(), seconds=10)

    def ask(namespace: str, metric: str) -> object:
        try:
            values = asked.read(EXTERNAL_METRICS_API.parse(("namespaces", namespace, metric), {}), audit_id="test")
        except StatusError as error:
            return error.code
        return [str(value.value) for value in values]

    assert [ask("shop", "broken") for _ in range(6)] == [code, code, *[after] * 4]
    assert [ask(namespace, "queue") for namespace in ("shop", "bank")] == [["1"], ["1"]]
    kept.close()
