"""Answers that are kept for a while."""

from __future__ import annotations

import pytest

from metrics_apiserver.dispatch.outcomes import Answer, Missing, MissingReason
from metrics_apiserver.dispatch.store import AnswerStore
from tests.dispatch.making import series
from tests.fakes import NOON, FakeClock

ANSWER = Answer(tuple(series(1)), NOON, 0.0, NOON)


@pytest.mark.parametrize(
    "outcome", [ANSWER, Missing(MissingReason.NO_SAMPLE, "nothing")], ids=["an answer", "that there is nothing"]
)
def test_each_is_kept_as_long_as_it_is_told(outcome: Answer | Missing) -> None:
    """Two policies of one provider keep for different times."""
    clock = FakeClock()
    store = AnswerStore(clock.monotonic)
    store.put("short", outcome, 5)
    store.put("long", outcome, 50)
    clock.seconds += 4.9
    assert (store.get("short"), store.get("long")) == (outcome, outcome)
    clock.seconds += 0.1
    assert (store.get("short"), store.get("long")) == (None, outcome)


@pytest.mark.parametrize(
    ("values", "characters", "kept"),
    [
        pytest.param(1, 0, 9, id="small ones: nine of eleven each"),
        pytest.param(15, 0, 4, id="values count"),
        pytest.param(1, 2000, 3, id="long selectors count"),
        pytest.param(91, 0, 0, id="larger than everything: not kept"),
    ],
)
def test_room_is_bounded(values: int, characters: int, kept: int) -> None:
    """A client may ask for what it likes: it is the oldest that go."""
    store = AnswerStore(FakeClock().monotonic, room=100)
    answer = Answer(tuple(series(*range(values))), NOON, 0.0)
    for number in range(20):
        store.put(number, answer, 60, characters=characters)
    assert [number for number in range(20) if store.get(number)] == list(range(20 - kept, 20))
