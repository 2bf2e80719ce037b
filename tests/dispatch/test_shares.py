"""A slow metric, and a namespace, leave places to the others."""

from __future__ import annotations

import pytest

from metrics_apiserver.dispatch.shares import Shares
from metrics_apiserver.dispatch.subject import Subject


def taken(shares: Shares, places: int, *subjects: Subject) -> int:
    """Take as many as these get, in turn."""
    while True:
        entered = [shares.enter(subject, places) for subject in subjects]
        if not any(entered):
            return sum(map(shares.held, subjects))


@pytest.mark.parametrize(
    ("places", "of_metric", "of_namespace"),
    [(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 3, 4), (8, 6, 7), (24, 18, 21), (32, 24, 28)],
)
def test_places_of_one_metric_and_of_one_namespace(places: int, of_metric: int, of_namespace: int) -> None:
    assert taken(Shares(), places, Subject("a", "slow")) == of_metric
    shares = Shares()
    assert taken(shares, places, *(Subject("a", name) for name in "xyz")) == of_namespace
    assert taken(shares, places, Subject("b", "slow")) == min(1, places - of_namespace)


def test_places_that_are_given_back_are_there_again_and_nothing_is_kept() -> None:
    shares, subject = Shares(), Subject("a", "slow")
    for _ in range(3):
        count = taken(shares, 8, subject)
        assert count == 6
        for _ in range(count):
            shares.leave(subject)
    assert not shares._metrics
    assert not shares._namespaces
