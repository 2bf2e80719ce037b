"""What is answered where there is nothing, or a provider failed; and what can be read about it afterwards."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from metrics_apiserver.errors import MetricNotFoundError, NotFoundError, ServiceUnavailableError, StatusError
from metrics_apiserver.provider import NotFiniteError, Quantity
from metrics_apiserver.settings import PolicySettings, SubstituteSettings
from metrics_apiserver.telemetry import ProviderMetrics
from tests.dispatch.making import (
    EMPTY,
    ERROR,
    SEVEN,
    ZERO,
    Scripted,
    instance,
    last,
    read_custom,
    read_external,
    router,
    series,
    value_of,
)
from tests.fakes import NOON, FakeClock

POD = "namespaces/shop/pods/cart-0/rps"
PODS = "namespaces/shop/pods/*/rps"
NOT_FOUND = MetricNotFoundError("pods", "rps", "cart-0")
DOWN = ServiceUnavailableError("the backend says no")


def answering(given: Any) -> Any:
    def answer(_: Any) -> Any:
        if isinstance(given, Exception):
            raise given
        return given

    return answer


def ask(path: str, given: Any, policy: PolicySettings, **settings: Any) -> Any:
    """Read a path through a router with one provider; an error gives its code and sentence."""
    asked = router(instance(Scripted(answering(given), from_memory=True), policy=policy, **settings))
    try:
        return read_custom(asked, path, labelSelector="app=cart") if "/" in path else read_external(asked)
    except StatusError as error:
        return error.code, error.message


@pytest.mark.parametrize(
    ("path", "given"),
    [
        pytest.param(POD, NOT_FOUND, id="by name"),
        pytest.param(PODS, [], id="list"),
        pytest.param("queue", [], id="ext"),
    ],
)
@pytest.mark.parametrize(
    ("substitute", "expected"),
    [
        pytest.param(
            EMPTY, {POD: (404, NOT_FOUND.message), PODS: [], "queue": []}, id="as the provider gave it: the default"
        ),
        pytest.param(
            ERROR,
            {
                POD: (404, NOT_FOUND.message),
                PODS: (404, "provider slow has no sample of rps of pods with app=cart in the namespace shop"),
                "queue": (404, "provider slow has no sample of queue in the namespace shop"),
            },
            id="error",
        ),
        pytest.param(
            ZERO, {POD: [("cart-0", "0")], PODS: [("cart-0", "0"), ("cart-1", "0")], "queue": ["0"]}, id="zero"
        ),
        pytest.param(
            SEVEN, {POD: [("cart-0", "7")], PODS: [("cart-0", "7"), ("cart-1", "7")], "queue": ["7"]}, id="a value"
        ),
    ],
)
def test_nothing(path: str, given: Any, substitute: SubstituteSettings, expected: dict[str, Any]) -> None:
    """One item without labels, that object, one item for each matching object."""
    assert ask(path, given, PolicySettings(on_empty=substitute)) == expected[path]


@pytest.mark.parametrize("path", [POD, PODS, "queue"], ids=["by name", "list", "external"])
@pytest.mark.parametrize(
    ("substitute", "expected"),
    [
        pytest.param(ERROR, dict.fromkeys((POD, PODS, "queue"), (503, DOWN.message)), id="error: the default"),
        pytest.param(EMPTY, {POD: (404, DOWN.message), PODS: [], "queue": []}, id="empty"),
        pytest.param(
            ZERO, {POD: [("cart-0", "0")], PODS: [("cart-0", "0"), ("cart-1", "0")], "queue": ["0"]}, id="zero"
        ),
        pytest.param(last(60), dict.fromkeys((POD, PODS, "queue"), (503, DOWN.message)), id="there is no last answer"),
    ],
)
def test_failure(path: str, substitute: SubstituteSettings, expected: dict[str, Any]) -> None:
    """The same substitutes, and an error that says what the provider said."""
    assert ask(path, DOWN, PolicySettings(on_error=substitute)) == expected[path]


def test_clients_own_mistake_is_never_covered_up() -> None:
    """Whatever the policy says of errors."""
    from metrics_apiserver.errors import ForbiddenError

    assert ask("queue", ForbiddenError("not yours"), PolicySettings(on_error=ZERO)) == (403, "not yours")


@pytest.mark.parametrize(
    ("path", "values", "policy", "expected"),
    [
        pytest.param("queue", series(1), PolicySettings(), ["1"], id="no limit: however old"),
        pytest.param("queue", series(1), PolicySettings(max_age=600), ["1"], id="as old as is allowed"),
        pytest.param("queue", series(1), PolicySettings(max_age=599), [], id="older: empty, which is the default"),
        pytest.param(
            "queue",
            series(1),
            PolicySettings(max_age=300, on_empty=ERROR),
            (
                404,
                "provider slow has only old samples of queue in the namespace shop: the newest is 10 minutes old,"
                " and at most 5m is allowed",
            ),
            id="older: the sentence says how old",
        ),
        pytest.param("queue", series(1), PolicySettings(max_age=300, on_empty=ZERO), ["0"], id="older: a substitute"),
        pytest.param(
            POD,
            value_of(timestamp=NOON),
            PolicySettings(max_age=300),
            (
                404,
                "provider slow has only old samples of rps of pods shop/cart-0: the newest is 10 minutes old,"
                " and at most 5m is allowed",
            ),
            id="by name: not found",
        ),
        pytest.param(
            PODS,
            [value_of("cart-0", 1, timestamp=NOON), value_of("cart-1", 2, timestamp=NOON + timedelta(minutes=9))],
            PolicySettings(max_age=300),
            [("cart-1", "2")],
            id="what is fresh enough stays",
        ),
    ],
)
def test_age(path: str, values: Any, policy: PolicySettings, expected: Any) -> None:
    """Older samples are dropped; it is ten minutes past noon."""
    clock = FakeClock()
    clock.time = NOON + timedelta(minutes=10)
    assert ask(path, values, policy, clock=clock) == expected


@pytest.mark.parametrize(
    "then",
    [pytest.param(DOWN, id="a failure"), pytest.param([], id="nothing"), pytest.param([None], id="a wrong answer")],
)
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(0, ["5"], id="at once"),
        pytest.param(59, ["5"], id="nearly as old as is allowed"),
        pytest.param(61, None, id="too old"),
    ],
)
def test_last_answer_stands_in_for_so_long(then: Any, seconds: float, expected: list[str] | None) -> None:
    """With the samples' own times, whatever maxAge says; afterwards there is an error."""
    clock, given = FakeClock(), [series(5), then]
    provider = Scripted(lambda _: answering(given.pop(0))(_), from_memory=True)
    policy = PolicySettings(max_age=30, on_empty=last(60), on_error=last(60))
    asked = router(instance(provider, policy=policy, clock=clock), clock=clock)
    assert read_external(asked) == ["5"]
    clock.seconds += seconds
    clock.time += timedelta(seconds=seconds)
    if expected is None:
        with pytest.raises(StatusError):
            read_external(asked)
    else:
        assert read_external(asked) == expected


def test_last_answer_to_another_read_is_not_this_ones() -> None:
    """A read with another selector has an answer of its own."""
    given = [series(5), []]
    provider = Scripted(lambda _: given.pop(0), from_memory=True)
    asked = router(instance(provider, policy=PolicySettings(on_empty=last(60))))
    assert read_external(asked) == ["5"]
    with pytest.raises(NotFoundError, match="no sample of queue in the namespace shop with a=b"):
        read_external(asked, "a=b")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(NotFiniteError("nan"), (404, "it is not a finite number"), id="NaN"),
        pytest.param(MetricNotFoundError("external", "queue"), (404, "could not find"), id="not found"),
    ],
)
def test_sentences(given: Exception, expected: tuple[int, str]) -> None:
    """What a provider raises in a read of series says why there is nothing."""
    code, message = ask("queue", given, PolicySettings(on_empty=ERROR))
    assert code == expected[0]
    assert expected[1] in message


def test_nan_is_no_data() -> None:
    """An empty list by default, and 404 by name: never 0."""

    def compute(_: Any) -> Any:
        return Quantity.of(float("nan"))

    asked = router(instance(Scripted(compute, from_memory=True)))
    assert read_external(asked) == []
    with pytest.raises(NotFoundError, match="no sample of rps of pods shop/cart-0: it is not a finite number"):
        read_custom(asked, POD)


def test_selector_that_leaves_everything_out_is_told_apart() -> None:
    """Only a provider that answers from memory is asked again."""

    class Selecting(Scripted):
        def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
            return [
                value
                for value in super().get_external_metric(ctx, namespace, metric_selector, info)
                if metric_selector.matches(value.metric_labels)
            ]

    sentences = []
    for from_memory in (True, False):
        one = instance(Selecting(lambda _: series(1), from_memory=from_memory), policy=PolicySettings(on_empty=ERROR))
        with pytest.raises(NotFoundError) as caught:
            read_external(router(one), "a=b")
        sentences.append(caught.value.message)
        one.close()
    assert sentences == [
        "provider slow has samples of queue, and none that the selector matches: queue in the namespace shop with a=b",
        "provider slow has no sample of queue in the namespace shop with a=b",
    ]


def test_what_was_not_answered_can_be_read_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    """In the list, the newest first, in the log, and in the counters; a substitute at the level of every request."""
    telemetry = ProviderMetrics()
    given: list[Any] = [[], DOWN, series(1)]
    provider = Scripted(lambda _: answering(given.pop(0))(_), from_memory=True)
    asked = router(instance(provider, policy=PolicySettings(on_error=ZERO), telemetry=telemetry))
    with caplog.at_level(logging.DEBUG, "metrics_apiserver"):
        assert [read_external(asked), read_external(asked), read_external(asked)] == [
            [],
            ["0"],
            ["1"],
        ]
    documents = [read.as_document() for read in asked.recent.newest_first()]
    common = {
        "time": "2026-11-21T12:00:00Z",
        "auditID": "test",
        "provider": "slow",
        "api": "external",
        "namespace": "shop",
        "metric": "queue",
    }
    assert documents == [
        {**common, "result": "substituted", "reason": "unavailable", "message": "the backend says no"},
        {
            **common,
            "result": "empty",
            "reason": "no_sample",
            "message": "provider slow has no sample of queue in the namespace shop",
        },
    ]
    levels = {record.getMessage(): record.levelname for record in caplog.records if "a read of" in record.getMessage()}
    assert levels == {
        "audit-id test: a read of queue in the namespace shop is empty:"
        " provider slow has no sample of queue in the namespace shop": "DEBUG",
        "audit-id test: a read of queue in the namespace shop is substituted: the backend says no": "INFO",
    }
    figures = telemetry.figures("slow", "external")
    assert (figures.missing, figures.failures, figures.substituted) == (
        {"no_sample": 1},
        {"unavailable": 1},
        {"error": 1},
    )


def test_only_the_last_two_hundred_are_kept() -> None:
    """And of a long selector only its beginning."""
    asked = router(instance(Scripted(lambda _: [], from_memory=True)))
    values = ",".join(f"value-{number:04}" for number in range(100))
    for _ in range(250):
        read_external(asked, f"a in ({values})")
    kept = asked.recent.newest_first()
    assert len(kept) == 200
    assert max(len(read.selector) for read in kept) == 257
