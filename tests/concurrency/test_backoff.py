"""How long is waited after failures in a row."""

from __future__ import annotations

import pytest

from metrics_apiserver.concurrency import Backoff


@pytest.mark.parametrize(
    ("failures", "most"),
    [
        pytest.param(1, 0.5, id="the first"),
        pytest.param(2, 1.0, id="twice as long"),
        pytest.param(4, 4.0, id="and again"),
        pytest.param(6, 10.0, id="no longer than the limit"),
        pytest.param(100_000, 10.0, id="however many they are"),
    ],
)
def test_the_pause_doubles_and_is_not_the_same_for_everybody(failures: int, most: float) -> None:
    backoff = Backoff(0.5, 10.0)
    pauses = [backoff.seconds(failures) for _ in range(200)]
    assert all(most / 2 <= pause <= most for pause in pauses)
    assert max(pauses) - min(pauses) > most / 4
