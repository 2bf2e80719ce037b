"""Samples that are too old, and samples from a time still to come."""

from __future__ import annotations

import dataclasses
import logging
from datetime import timedelta

import pytest

from metrics_apiserver.apis.external import ExternalRead
from metrics_apiserver.dispatch.freshness import Freshness
from metrics_apiserver.dispatch.outcomes import Answer, Missing
from metrics_apiserver.model import selectors
from metrics_apiserver.model.clock import age_seconds
from metrics_apiserver.model.metrics import ExternalMetricInfo
from metrics_apiserver.settings import PolicySettings
from metrics_apiserver.settings.durations import in_words
from tests.dispatch.making import series
from tests.fakes import LOGGER, NOON, FakeClock

READ = ExternalRead("shop", ExternalMetricInfo("queue"), selectors.EVERYTHING)
MINUTE = PolicySettings(max_age=60)


def answer(*ages: float) -> Answer:
    """An answer whose samples are so many seconds old."""
    times = [NOON - timedelta(seconds=age) for age in ages]
    values = tuple(
        dataclasses.replace(value, timestamp=time)
        for value, time in zip(series(*range(len(times))), times, strict=True)
    )
    return Answer(values, min(times), 0.0, max(times))


def freshness(clock: FakeClock | None = None) -> Freshness:
    clock = clock or FakeClock()
    return Freshness("slow", monotonic=clock.monotonic, logger=LOGGER)


@pytest.mark.parametrize(
    ("ages", "left"),
    [
        pytest.param([0, 60], 2, id="young enough"),
        pytest.param([0, 61], 1, id="one too old"),
        pytest.param([61, 3600], 0, id="all too old"),
        pytest.param([-10], 1, id="from so soon as clocks differ"),
        pytest.param([-11], 0, id="from a time still to come"),
        pytest.param([-7200, 5], 1, id="one from a time still to come"),
        pytest.param([-7200, 100], 0, id="one from a time still to come, and one too old"),
    ],
)
def test_with_an_age_at_most_so_many_are_left(ages: list[float], left: int) -> None:
    """Of a sample from later nobody knows how old it is."""
    judged = freshness().judge(answer(*ages), MINUTE, READ, NOON)
    assert (len(judged.values) if isinstance(judged, Answer) else 0) == left


@pytest.mark.parametrize(
    ("ages", "sentence"),
    [
        pytest.param(
            [20 * 86400 + 5, 90 * 86400],
            "provider slow has only old samples of queue in the namespace shop: the newest is 20 days old,"
            " and at most 1m is allowed",
            id="old",
        ),
        pytest.param(
            [-7200],
            "provider slow: the time of a sample of queue in the namespace shop is 2 hours from now,"
            " so that nobody knows how old it is, and `maxAge` is 1m",
            id="later",
        ),
        pytest.param(
            [-7200, 300],
            "provider slow has only old samples of queue in the namespace shop: the newest is 5 minutes old,"
            " and at most 1m is allowed",
            id="both",
        ),
    ],
)
def test_why_there_is_nothing_is_said_as_people_read_it(ages: list[float], sentence: str) -> None:
    judged = freshness().judge(answer(*ages), MINUTE, READ, NOON)
    assert isinstance(judged, Missing)
    assert judged.message == sentence


def test_without_an_age_a_sample_from_later_is_served_and_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    judging = freshness(clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            assert isinstance(judging.judge(answer(-7200), PolicySettings(), READ, NOON), Answer)
            judging.judge(answer(-9), PolicySettings(), READ, NOON)
            clock.seconds += 20
    assert [record.getMessage() for record in caplog.records] == [
        "provider slow: the time of a sample of queue in the namespace shop is 2 hours from now,"
        " so that nobody knows how old it is"
    ] * 2


@pytest.mark.parametrize(
    ("ages", "age"),
    [([5, 9], 9), ([-5], 0.0), ([-5, 3], 3), ([-60], None), ([-60, 3], 3)],
    ids=["the oldest", "soon counts as now", "soon and old", "nobody knows", "the oldest that is known"],
)
def test_ages_that_are_counted_are_never_negative(ages: list[float], age: float | None) -> None:
    oldest = answer(*ages).oldest
    assert oldest is not None
    assert age_seconds(oldest, NOON) == age


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (5400, "90 minutes"),
        (7200, "2 hours"),
        (172_799, "47 hours"),
        (172_800, "2 days"),
        (6.3e10, "729166 days"),
    ],
)
def test_ages_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
