"""The fronts: on the loop, on a thread and over WSGI a request has the same answer, to the byte."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from metrics_apiserver.answering.asked import _of_few_parts, _of_many_parts, read_asked
from metrics_apiserver.exchange import Response
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.server import MetricsServer
from tests.answering.plain import plain
from tests.conformance import recorded
from tests.conftest import asker

V1BETA2 = "/apis/custom.metrics.k8s.io/v1beta2"
BY_NAME = f"{V1BETA2}/namespaces/shop/pods/cart-0/packets-per-second"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/my-external-metric"
TIME = re.compile(rb'"timestamp":"[^"]*"')
# Of every answer its own.
OWN = {"Audit-Id": ""}


def at_once(server: MetricsServer, target: str, headers: dict[str, str]) -> Response | None:
    """Ask as the worker's loop does."""
    return plain(server, target, ((name.upper(), value) for name, value in headers.items()))


def same(server: MetricsServer, target: str, headers: dict[str, str]) -> bool:
    """Hold what the fronts answer against each other; return whether the loop had an answer."""
    pairs = [(name.upper(), value) for name, value in headers.items()]
    found = [plain(server, target, pairs, may_wait=may_wait) for may_wait in (False, True)]
    if found[0] is not None:
        assert found[1] is not None
    client = Client(server)
    raw, _, query = target.partition("?")
    target_of = {"RAW_URI": target, "PATH_INFO": unquote(raw, "latin-1"), "QUERY_STRING": query}
    # As gunicorn joins what is repeated.
    joined = {name: ",".join(value for each, value in pairs if each == name) for name, _ in pairs}
    response = client.open("/", headers=joined, environ_overrides=target_of)
    for answer in found:
        if answer is None:
            continue
        expected = (response.status_code, response.headers["Content-Type"])
        assert (answer.code, answer.content_type) == expected
        assert TIME.sub(b"", answer.body) == TIME.sub(b"", response.data)
        framing = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
        assert [name for name, _ in (*framing, *answer.fields)] == [name for name, _ in response.headers.items()]
        assert dict([*framing, *answer.fields]) | OWN == dict(response.headers.items()) | OWN
    return found[0] is not None


@pytest.fixture(name="filled")
def _filled(server: MetricsServer) -> MetricsServer:
    recorded.write_all(asker(Client(server)))
    return server


@pytest.mark.parametrize("case", [case for case in recorded.cases() if case.values[0]["method"] == "GET"])
def test_recorded_request_is_answered_the_same_or_left_to_the_views(
    case: dict[str, Any], filled: MetricsServer
) -> None:
    same(filled, case["path"], case["headers"])


@pytest.mark.parametrize(
    ("target", "headers", "answered"),
    [
        pytest.param(BY_NAME, {}, True, id="a read by name"),
        pytest.param(BY_NAME, {"Accept": "application/vnd.kubernetes.protobuf, */*"}, True, id="the autoscaler's"),
        pytest.param(BY_NAME, {"Audit-Id": "a-1"}, True, id="with an audit id"),
        pytest.param(BY_NAME.replace("cart-0", "cart-9"), {}, True, id="a value that is not there"),
        pytest.param(f"{V1BETA2}/namespaces/shop/metrics/work-queue-length", {}, True, id="a namespace's metric"),
        pytest.param(f"{EXTERNAL}?labelSelector=foo%3Dbar", {}, True, id="an external read"),
        pytest.param("/livez", {}, True, id="a probe"),
        pytest.param("/readyz", {}, True, id="the other probe"),
        pytest.param("/readyz?verbose", {}, True, id="a probe that wants to know more"),
        pytest.param(BY_NAME.replace("cart-0", "*"), {}, False, id="a read by selector may wait for the list"),
        pytest.param(BY_NAME.replace("pods", "unknowns"), {}, True, id="a resource that is known not to be there"),
        pytest.param(f"{EXTERNAL}?labelSelector=!", {}, True, id="a wrong selector"),
        pytest.param(f"{EXTERNAL}?labelSelector=foo{'%2Cfoo' * 32}", {}, True, id="a long selector"),
        pytest.param(f"{EXTERNAL}?labelSelector=foo{'%2Cfoo' * 33}", {}, False, id="one that is too long to be kept"),
        pytest.param(f"{EXTERNAL}?labelSelector=foo{',foo' * 33}", {}, False, id="the same, not encoded"),
        pytest.param(f"{EXTERNAL}?labelSelector=foo{'&a=b' * 33}", {}, False, id="many parameters"),
        pytest.param(f"{EXTERNAL}?pretty=1", {}, True, id="an indented answer"),
        pytest.param(BY_NAME, {"User-Agent": "curl/8"}, True, id="to people's tools"),
        pytest.param(BY_NAME, {"Accept": "application/yaml"}, False, id="YAML takes long"),
        pytest.param(BY_NAME, {"Accept": "text/html"}, True, id="no media type of ours"),
        pytest.param(BY_NAME, {"Accept": "application/json", "accept": "*/*"}, True, id="two Accept fields"),
        pytest.param(BY_NAME, {"Accept": "a/b," * 200 + "*/*"}, False, id="a long Accept field"),
        pytest.param(f"/{BY_NAME}", {}, False, id="an ambiguous path"),
        pytest.param("/apis", {}, False, id="discovery"),
        pytest.param("/metrics", {}, False, id="our own metrics"),
    ],
)
def test_plain_reads_and_probes_are_answered_at_once(
    filled: MetricsServer, target: str, headers: dict[str, str], answered: bool
) -> None:
    assert same(filled, target, headers) is answered


@pytest.mark.parametrize("parts", [1, 6, 7, 26, 32, 440])
def test_targets_of_strangers_take_little_room(parts: int) -> None:
    """They are read, and kept, before anybody knows who asks."""
    selector = ",".join("abcdefghij"[number % 10] for number in range(parts))

    def read(number: int) -> None:
        read_asked(f"{V1BETA2}/namespaces/shop/pods/*/m?labelSelector={selector},z{number}")

    read(0)
    tracemalloc.start()
    try:
        for number in range(1, 6000):
            read(number)
        # Of those 4,096 are kept.
        assert tracemalloc.get_traced_memory()[0] < 24 << 20
    finally:
        tracemalloc.stop()
        _of_few_parts.cache_clear()
        _of_many_parts.cache_clear()


def test_audit_id_is_the_clients_where_it_is_well_formed(filled: MetricsServer) -> None:
    found = at_once(filled, BY_NAME, {"Audit-Id": "a-1"})
    assert found is not None
    assert dict(found.fields)["Audit-Id"] == "a-1"
    other = at_once(filled, BY_NAME, {"Audit-Id": "not one"})
    assert other is not None
    assert dict(other.fields)["Audit-Id"] != "not one"


def test_a_server_that_is_not_ready_says_so_at_once(filled: MetricsServer) -> None:
    filled.drain()
    for target, code in (("/readyz", 500), ("/livez", 200)):
        answer = at_once(filled, target, {})
        assert answer is not None
        assert answer.code == code
        assert same(filled, target, {})


def test_it_is_counted_as_any_other_request(filled: MetricsServer) -> None:
    client = Client(filled)

    def total() -> float:
        lines = client.get("/metrics").text.splitlines()
        counted = (
            line for line in lines if line.startswith('apiserver_request_total{code="200"') and "v1beta2" in line
        )
        return sum(float(line.rpartition(" ")[2]) for line in counted)

    before = total()
    assert at_once(filled, BY_NAME, {}) is not None
    assert total() == before + 1


def test_a_read_of_many_series_is_left_to_a_thread_before_any_is_looked_at(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the selector leaves of them."""
    for number in range(300):
        target = f"/write-metrics/external/namespaces/shop/many?labels=n%3D{number}"
        assert Client(server).post(target, data=b"1").status_code == 200, target
    many = EXTERNAL.replace("my-external-metric", "many")
    assert at_once(server, many, {}) is not None
    looked_at = []
    monkeypatch.setattr(Selector, "matches", lambda _, labels: looked_at.append(labels))
    for narrowed in ("n%3D7", "n%3Dnone", "n%3D7,m", "!m"):
        assert at_once(server, f"{many}?labelSelector={narrowed}", {}) is None
    assert looked_at == []


PARTS = st.sampled_from(
    """apis custom.metrics.k8s.io external.metrics.k8s.io v1beta1 v1beta2 namespaces shop * %2A pods pod nodes metrics
    cart-0 node-a packets-per-second work-queue-length . %2F watch status livez my-external-metric %C3%A4
    deployments.apps unknowns""".split()  # noqa: SIM905 - easier to read
)
QUERIES = st.sampled_from(
    """? ?labelSelector=foo%3Dbar ?labelSelector=foo ?fieldSelector=metadata.name%3Dcart-0 ?watch=1 ?a=b&a=c
    ?metricLabelSelector=a%3Db ?labelSelector=%FF ?fieldSelector=x%3Dy""".split()  # noqa: SIM905
)
ROOTS = ["", V1BETA2, f"{V1BETA2}/namespaces/shop", "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop"]
TARGETS = st.builds(
    lambda root, parts, query: f"{root}/{'/'.join(parts)}{query}",
    st.sampled_from(ROOTS),
    st.lists(st.one_of(PARTS, PARTS, PARTS, st.just("")), max_size=5),
    st.one_of(st.just(""), QUERIES),
)
ACCEPTS = st.sampled_from(["", "*/*", "application/json", "application/yaml, */*;q=0.9", "text/html, */*;q=0.1"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=TARGETS, accept=ACCEPTS)
def test_any_target_is_answered_the_same_or_left_to_the_views(filled: MetricsServer, target: str, accept: str) -> None:
    same(filled, target, {"Accept": accept} if accept else {})


class Broken:
    """A reader with a mistake in it."""

    wants_user = False

    def read(self, *_: object, **__: object) -> None:
        raise ZeroDivisionError("the secret of the house")


@pytest.mark.parametrize("may_wait", [False, True], ids=["on the loop", "on a thread"])
def test_a_mistake_of_ours_is_a_status_counted_and_logged_and_says_nothing_more(
    server: MetricsServer, caplog: pytest.LogCaptureFixture, may_wait: bool
) -> None:
    server.front.answering.reads._reader = Broken()  # type: ignore[assignment]
    answer = plain(server, BY_NAME, [("AUDIT-ID", "a-1")], may_wait=may_wait)
    assert answer is not None
    assert answer.code == 500
    assert b"the secret of the house" not in answer.body
    assert b"audit id a-1" in answer.body
    (line,) = [record for record in caplog.records if "failed" in record.getMessage()]
    assert line.exc_info is not None
    assert 'code="500"' in Client(server).get("/metrics").text


@pytest.mark.parametrize(
    ("target", "code"),
    [
        pytest.param(f"{EXTERNAL}?labelSelector=!", 400, id="a wrong selector"),
        pytest.param(BY_NAME.replace("cart-0", "cart-9"), 404, id="a value that is not there"),
        pytest.param("/readyz/none", 404, id="a check that is not there"),
    ],
)
def test_failures_in_yaml_are_not_written_on_the_loop(filled: MetricsServer, target: str, code: int) -> None:
    """Each takes as long as hundreds in JSON; and nothing of the attempt is counted."""
    yaml = [("ACCEPT", "application/yaml")]
    assert plain(filled, target, yaml) is None
    answer = plain(filled, target, yaml, may_wait=True)
    assert answer is not None
    assert (answer.code, answer.content_type) == (code, "application/yaml")


def test_a_request_on_a_thread_is_in_flight(server: MetricsServer) -> None:
    """And one on the loop never is: nobody could see it."""
    seen = []

    class Reader:
        wants_user = False

        def read(self, *_: object, **__: object) -> list[object]:
            text = Client(server).get("/metrics").text
            seen.append('apiserver_current_inflight_requests{request_kind="readOnly"} 2.0' in text)
            return []

    server.front.answering.reads._reader = Reader()  # type: ignore[assignment]
    for may_wait in (True, False):
        plain(server, EXTERNAL, may_wait=may_wait)
    assert seen == [True, False]
