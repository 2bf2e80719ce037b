"""Reads of external metrics: who answers, what he is given, and what the answer is."""

# ruff: noqa: ARG005 - what a function takes is what is tested

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import (
    BadGatewayError,
    ExternalMetricInfo,
    MetricNotFoundError,
    RequestContext,
)
from metrics_apiserver.provider.functions import NAMESPACE_ALL, Metrics, every
from metrics_apiserver.testing import FakeClock
from tests.controlplane.waiting import wait_until
from tests.providers.functions.served import SECONDS, Served


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        pytest.param("shop", ["2"], id="the namespace's own wins"),
        pytest.param("mail", ["3"], id="each of a list"),
        pytest.param("elsewhere", ["1"], id="every other namespace"),
        pytest.param("*", ["1"], id="a read of all namespaces is answered from there alone"),
    ],
)
def test_more_specific_registration_wins(served: Served, namespace: str, expected: list[str]) -> None:
    """Whichever came first."""
    served.metrics.add_metric("shop", "depth", None, lambda: 2)
    served.metrics.add_metric(NAMESPACE_ALL, "depth", None, lambda: 1)
    served.metrics.add_metric(["mail", "post"], "depth", None, lambda: 3)
    assert served.external(namespace=namespace) == expected


def test_metric_of_one_namespace_answers_there_only(served: Served) -> None:
    served.metrics.add_metric("shop", "depth", None, lambda: 2)
    assert (served.external(), served.external(namespace="mail"), served.external(metric="other")) == (["2"], [], [])


def test_function_that_is_asked_gets_the_read(served: Served) -> None:
    """Its context, the namespace that asks, and the name."""
    given: list[Any] = []
    served.metrics.add_metric(
        NAMESPACE_ALL, "depth", None, lambda ctx, namespace, name: given.append((ctx, namespace, name))
    )
    ctx = served.ctx()
    info = ExternalMetricInfo("depth")
    assert served.provider.get_external_metric(ctx, "shop", selectors.EVERYTHING, info) == ()
    assert given == [(ctx, "shop", "depth")]


def test_polled_function_gets_its_registration(served: Served) -> None:
    """Every namespace of a list is polled by itself."""
    given = []

    def depth(ctx: RequestContext, namespace: str, name: str) -> int:
        given.append((namespace, name, 0 < ctx.remaining() <= 30))
        return len(namespace)

    served.metrics.add_metric(["shop", "post"], "depth", every(minutes=1), depth)
    assert served.when_polled(served.external) == ["4"]
    assert served.when_polled(lambda: served.external(namespace="post")) == ["4"]
    assert sorted(given) == [("post", "depth", True), ("shop", "depth", True)]


def test_read_of_a_polled_metric_selects(served: Served) -> None:
    """The labels are told, and the time is that of the poll's end."""
    served.metrics.external("depth", trigger=every(minutes=1))(lambda: {"": 42, "queue=orders": 30, "queue=mail": 12})
    before = datetime.now(UTC)
    assert served.when_polled(served.external) == ["42"]
    assert served.external("queue in (orders, mail)") == ["30", "12"]
    assert served.external("!queue") == []
    read = selectors.parse("queue=mail")
    (value,) = served.provider.get_external_metric(served.ctx(), "shop", read, ExternalMetricInfo("depth"))
    assert (value.metric_name, value.metric_labels, value.window_seconds) == ("depth", {"queue": "mail"}, None)
    assert before <= value.timestamp <= datetime.now(UTC)


def test_series_that_no_selector_can_name_counts_in_the_sum(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """One label that Kubernetes forbids takes no other series away; it is said once a minute."""
    results = {"path=/api/v1": 30, "path=root": 12}
    served.metrics.external("depth")(lambda: results)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert served.external() == ["30", "12"]
            assert served.external("path=root") == ["12"]
            assert served.external("path!=root") == ["30"]
    assert [record.getMessage().partition(" cannot be")[0] for record in caplog.records] == [
        "external metric depth: no selector can name one of its series: the value '/api/v1' of the label path"
    ]


def test_poll_that_finds_nothing_has_no_data(served: Served) -> None:
    """It is not a failure."""

    def missing() -> None:
        raise MetricNotFoundError("queues", "depth")

    served.metrics.external("depth", trigger=every(minutes=1))(missing)
    served.metrics.custom("pods", "open-sessions", trigger=every(minutes=1))(missing)
    assert served.when_polled(served.external) == []
    assert served.when_polled(served.by_selector) == {}


def test_cancelled_metric_is_gone(served: Served) -> None:
    """From reads and from the listing."""
    handle = served.metrics.add_metric(NAMESPACE_ALL, "depth", every(minutes=1), lambda: 1)
    assert served.when_polled(served.external) == ["1"]
    handle.cancel()
    assert served.external() == []
    assert list(served.provider.list_all_external_metrics()) == []


def test_function_may_register_and_cancel(served: Served) -> None:
    """It runs outside of every lock."""
    more: list[Any] = []

    def discover() -> int:
        for handle in more:
            handle.cancel()
        more[:] = [served.metrics.add_metric(NAMESPACE_ALL, "found", None, lambda: 5)]
        return 1

    served.metrics.add_metric(NAMESPACE_ALL, "depth", every(seconds=0.1), discover)
    wait_until(lambda: served.external(metric="found") == ["5"], SECONDS, lambda: "not found")


def test_wrong_result_when_asked_is_told(served: Served) -> None:
    served.metrics.external("depth")(lambda: [1])
    with pytest.raises(BadGatewayError, match=r"external metric depth: its function returned no value: \[1\] is no"):
        served.external()


def test_exception_when_asked_is_the_reads(served: Served) -> None:
    """The server makes of it what it makes of every provider's."""
    served.metrics.external("depth")(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        served.external()


@pytest.mark.parametrize(
    ("declare", "expected"),
    [
        pytest.param(lambda metrics: None, True, id="nothing"),
        pytest.param(lambda metrics: metrics.external("a", trigger=every(seconds=9))(lambda: 1), True, id="polled"),
        pytest.param(lambda metrics: metrics.external("a")(lambda: 1), False, id="when asked"),
        pytest.param(
            lambda metrics: metrics.custom("pods", "a", trigger=every(seconds=9))(lambda: 1),
            False,
            id="a custom metric, whose objects are asked of the cluster",
        ),
    ],
)
def test_only_what_is_polled_answers_from_memory(declare: Callable[[Metrics], Any], *, expected: bool) -> None:
    """It may change while it is served."""
    served = Served(FakeClock())
    served.metrics.external("b", trigger=every(seconds=9))(lambda: 1)
    declare(served.metrics)
    assert served.provider.answers_from_memory is expected
    for registration in served.metrics.registrations:
        registration.cancel()
    assert served.provider.answers_from_memory


@pytest.mark.parametrize(
    ("resource", "guess"),
    [
        pytest.param("podz", "; did you mean pods?", id="a slip of the finger"),
        pytest.param("po", "; did you mean pods?", id="kubectl's short name"),
        pytest.param("deploy", "; did you mean deployments.apps?", id="that of a group"),
        pytest.param("deployment.app", "", id="the beginning of a group is enough: it is there"),
        pytest.param("widgets.example.com", "", id="a CRD that is not installed yet"),
    ],
)
def test_resource_that_the_cluster_does_not_have_is_said_with_what_is_meant(
    served: Served, caplog: pytest.LogCaptureFixture, resource: str, guess: str
) -> None:
    """At the start, and not at each look: the listing is read every few seconds."""
    served.metrics.custom(resource, "queue")(lambda: 1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            list(served.provider.list_all_metrics())
    there = resource == "deployment.app"
    assert [record.getMessage() for record in caplog.records] == (
        [] if there else [f"custom metric {resource}/queue: the cluster has no resource {resource}{guess}"]
    )
