"""When what is followed is stale, and who hears of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from metrics_apiserver.files import FileFollower
from metrics_apiserver.staleness import Followed, Following
from metrics_apiserver.telemetry import FollowedMetrics
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER, FakeClock


@pytest.fixture(name="clock")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(name="following")
def _following(clock: FakeClock) -> Following:
    return Following(clock.monotonic, LOGGER)


Step = Callable[[Followed], None]


@pytest.mark.parametrize(
    ("steps", "stale"),
    [
        pytest.param([], None, id="it has just begun"),
        pytest.param([60], None, id="a minute without a word"),
        pytest.param([61], (61, ""), id="more than a minute without a word"),
        pytest.param([50, lambda one: one.in_touch(), 50], None, id="an answer in between"),
        pytest.param([lambda one: one.in_touch(600), 650], None, id="a watch that is open, or an answer that lasts"),
        pytest.param([lambda one: one.in_touch(600), 661], (61, ""), id="a minute after what lasted"),
        pytest.param(
            [lambda one: one.in_touch(600), 10, lambda one: one.out_of_touch("broken"), 61],
            (61, "broken"),
            id="a failure ends what lasted",
        ),
        pytest.param(
            [lambda one: one.out_of_touch("first"), 50, lambda one: one.out_of_touch("last"), 11],
            (61, "last"),
            id="failures in a row begin at the first, with the last one's cause",
        ),
        pytest.param([lambda one: one.out_of_touch("x"), 100, lambda one: one.in_touch()], None, id="in touch again"),
        pytest.param(
            [lambda one: one.in_touch(600), lambda one: one.refused("no CA"), 61],
            (61, "no CA"),
            id="what was found is not in use",
        ),
        pytest.param(
            [
                lambda one: one.in_touch(600),
                lambda one: one.refused("no CA"),
                50,
                lambda one: one.refused("still none"),
                11,
            ],
            (61, "still none"),
            id="and is still not",
        ),
        pytest.param(
            [lambda one: one.in_touch(600), lambda one: one.refused("no CA"), 100, lambda one: one.refused(None)],
            None,
            id="and is again",
        ),
    ],
)
def test_it_is_stale(
    steps: list[float | Step], stale: tuple[float, str] | None, clock: FakeClock, following: Following
) -> None:
    one = following.follow("one")
    for step in steps:
        if callable(step):
            step(one)
        else:
            clock.seconds += step
    found = one.stale()
    assert (None if found is None else (found.seconds, found.cause)) == stale
    assert len(following.stale()) == (stale is not None)


def test_the_log_has_it_once_and_once_when_it_is_over(
    clock: FakeClock, following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one, _other = following.follow("one"), following.follow("other").in_touch(10_000)
    one.out_of_touch("timed out")
    for _ in range(100):
        following.look()
        clock.seconds += 5
    one.in_touch()
    following.look()
    following.look()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "one is stale, and what is known of it stays in use: one (for 65 s: timed out)"),
        ("INFO", "one is in touch again"),
    ]


def test_the_remark_has_names_and_causes(clock: FakeClock, following: Following) -> None:
    following.follow("fine").in_touch(600)
    assert following.remark() is None
    following.follow("one").out_of_touch("timed out")
    following.follow("two")
    clock.seconds += 61
    assert following.remark() == "stale: one (for 61 s: timed out); two (for 61 s: nothing was heard)"


def test_the_metric_has_each_by_its_name(clock: FakeClock, following: Following) -> None:
    registry = CollectorRegistry()
    registry.register(FollowedMetrics(following.ages))
    following.follow("fine").in_touch(600)
    gone = following.follow("gone")
    following.follow("one")
    following.forget(gone)
    clock.seconds += 61
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    assert lines == [
        'metrics_apiserver_followed_stale_seconds{name="fine"} 0.0',
        'metrics_apiserver_followed_stale_seconds{name="one"} 61.0',
    ]


def test_what_is_no_longer_followed_is_not_said(
    clock: FakeClock, following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    one = following.follow("one")
    clock.seconds += 61
    following.forget(one)
    following.forget(one)
    following.look()
    assert (following.stale(), following.ages(), caplog.records) == ([], {}, [])


def test_a_thread_looks_by_itself(
    clock: FakeClock, following: Following, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hangs cannot say so, and nobody may read the probe."""
    monkeypatch.setattr("metrics_apiserver.staleness._LOOK_SECONDS", 0.01)
    following.follow("one")
    clock.seconds += 61
    following.start()
    wait_until(lambda: "one is stale" in caplog.text, 10, "nobody looks")
    following.stop()
    assert not following._background.alive


def test_files_that_cannot_be_used_are_stale_until_they_can(
    clock: FakeClock, following: Following, tmp_path: Path
) -> None:
    """Somebody looks all the time, and what there is to see is not in use."""
    file = tmp_path / "file"
    file.write_text("right")

    def changed() -> str | None:
        text = file.read_text()
        if text == "raises":
            raise ValueError(text)
        return "it is wrong" if text == "wrong" else None

    followed = following.follow("the file")
    follower = FileFollower([file], changed, LOGGER, name="test-files", interval=0.05, followed=followed)
    follower.start()
    try:
        for text, cause in (("wrong", "it is wrong"), ("raises", "a change could not be looked at")):
            file.write_text(text)
            wait_until(lambda: followed._refusal or followed._cause, 10, "nobody looked")
            clock.seconds += 61
            wait_until(lambda cause=cause: [each.cause for each in following.stale()] == [cause], 10, "it is not stale")
            file.write_text("right")
            wait_until(lambda: not following.stale(), 10, "it is stale for ever")
    finally:
        follower.stop()


def test_files_at_which_nobody_looks_are_stale(clock: FakeClock, following: Following, tmp_path: Path) -> None:
    """The thread hangs in what it was told to do: a server of files that does not answer."""
    follower = FileFollower(
        [tmp_path / "file"], lambda: None, LOGGER, name="test-files", followed=following.follow("the file")
    )
    clock.seconds += 61
    assert [each.name for each in following.stale()] == ["the file"]
    follower.stop()
