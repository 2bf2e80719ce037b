"""When a provider is asked no more, and when again."""

from __future__ import annotations

import logging

import pytest

from metrics_apiserver.dispatch.breaker import Admission, Breaker
from metrics_apiserver.settings import BreakerSettings
from tests.fakes import LOGGER, FakeClock


def breaker(clock: FakeClock) -> Breaker:
    return Breaker("slow", BreakerSettings(failures=3, reset=10), clock=clock, logger=LOGGER)


def fail(tried: Breaker, times: int) -> None:
    for _ in range(times):
        assert tried.admit() is Admission.CALL
        tried.account("no answer", trial=False)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        pytest.param("FF", "closed", id="too few failures"),
        pytest.param("FFF", "open", id="enough"),
        pytest.param("FF.FF", "closed", id="an answer in between counts from the beginning"),
        pytest.param("FF.FFF", "open", id="enough in a row, later"),
    ],
)
def test_failures_in_a_row_open_it(outcomes: str, state: str) -> None:
    """An answer in between shows that the provider works."""
    tried = breaker(FakeClock())
    for outcome in outcomes:
        tried.admit()
        tried.account("no answer" if outcome == "F" else "", trial=False)
    assert tried.state == state


def test_nobody_is_asked_until_the_time_is_up_and_then_one_call_tries() -> None:
    """The others are refused until the trial is over."""
    clock = FakeClock()
    tried = breaker(clock)
    fail(tried, 3)
    assert tried.admit() is Admission.REFUSED
    clock.seconds += 9.9
    assert tried.admit() is Admission.REFUSED
    clock.seconds += 0.1
    assert [tried.admit(), tried.admit()] == [Admission.TRIAL, Admission.REFUSED]
    assert tried.state == "half-open"


@pytest.mark.parametrize(
    ("failure", "state", "admission"),
    [
        pytest.param("", "closed", Admission.CALL, id="it is back"),
        pytest.param("still no answer", "open", Admission.REFUSED, id="it is not"),
    ],
)
def test_trial_decides(failure: str, state: str, admission: Admission) -> None:
    """After a failed trial the time begins anew."""
    clock = FakeClock()
    tried = breaker(clock)
    fail(tried, 3)
    clock.seconds += 10
    assert tried.admit() is Admission.TRIAL
    tried.account(failure, trial=True)
    assert (tried.state, tried.admit()) == (state, admission)


def test_trial_that_was_given_back_leaves_room_for_another() -> None:
    """All slots were in use: the call was never made."""
    clock = FakeClock()
    tried = breaker(clock)
    fail(tried, 3)
    clock.seconds += 10
    assert tried.admit() is Admission.TRIAL
    tried.give_back(trial=True)
    assert tried.admit() is Admission.TRIAL


@pytest.mark.parametrize("failure", ["", "too late"], ids=["an answer", "a failure"])
def test_calls_from_before_say_nothing_new(failure: str) -> None:
    """They began before the provider was known to be down, and do not open, close or prolong anything."""
    clock = FakeClock()
    tried = breaker(clock)
    fail(tried, 3)
    clock.seconds += 9
    tried.account(failure, trial=False)
    clock.seconds += 1
    assert tried.admit() is Admission.TRIAL


def test_sentence_says_since_when_and_the_last_word_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """The time is that of the first failure that opened it, also after a trial that failed."""
    clock = FakeClock()
    tried = breaker(clock)
    with caplog.at_level(logging.INFO):
        fail(tried, 3)
        clock.seconds += 10
        assert tried.admit() is Admission.TRIAL
        tried.account("401 for Bearer abc.def", trial=True)
        assert tried.sentence == "provider slow is down since 2026-11-21T12:00:00Z: 401 for Bearer <hidden>"
        clock.seconds += 10
        assert tried.admit() is Admission.TRIAL
        tried.account("", trial=True)
    assert [record.getMessage() for record in caplog.records] == [
        "provider slow is down, and not asked for a while: no answer",
        "provider slow is back",
    ]
