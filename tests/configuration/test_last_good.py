"""With which settings a worker begins when the file has changed since the start, and that it always begins."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metrics_apiserver import configuration
from metrics_apiserver.configuration import last_good, settings_from
from metrics_apiserver.configuration.last_good import LastGood
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.settings import Settings, SettingsError
from tests.conftest import environ

START, LATER, NOW = (f"providers: [{{name: {name}, kind: writable}}]\n".encode() for name in ("start", "later", "now"))
WRONG = b"providers: [{name: wrong, kind: nowhere}]\n"
UNBUILDABLE = b"providers: [{name: unbuildable, kind: writable}]\n"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "config.yaml"
    path.write_bytes(START)
    configuration.remember(settings_from(environ(config=str(path))))
    yield path
    last_good._last_good.clear()


def make(settings: Settings, *, restarting: bool = False, some: bool = False) -> str:
    """Make the application, which is its provider's name here."""
    (provider,) = settings.providers
    if some and (provider.name == "unbuildable" or provider.kind == "nowhere"):
        return f"without {provider.name}"
    if provider.name == "unbuildable":
        raise ProviderError("provider unbuildable could not be started")
    return provider.name


@pytest.mark.parametrize(
    ("kept", "now", "expected", "said"),
    [
        pytest.param(None, START, "start", "", id="nothing has changed"),
        pytest.param(LATER, START, "start", "", id="a change was taken back"),
        pytest.param(None, NOW, "now", "", id="the file is another, and right"),
        pytest.param(LATER, NOW, "now", "", id="another than what was taken over"),
        pytest.param(LATER, LATER, "later", "", id="what was taken over"),
        pytest.param(LATER, WRONG, "later", "what was taken over last", id="the file is wrong"),
        pytest.param(LATER, UNBUILDABLE, "later", "what was taken over last", id="its provider cannot be built"),
        pytest.param(LATER, b"", "later", "what was taken over last", id="the file is empty"),
        pytest.param(LATER, None, "later", "what was taken over last", id="there is no file"),
        pytest.param(None, WRONG, "start", "that of the start", id="wrong, and nobody has served"),
        pytest.param(None, None, "start", "that of the start", id="no file, and nobody has served"),
        pytest.param(START, WRONG, "start", "what was taken over last", id="that of the start is in use again"),
        pytest.param(
            UNBUILDABLE,
            START,
            "start",
            "",
            id="what was taken over cannot be built by now, and the file is that of the start again",
        ),
        pytest.param(
            UNBUILDABLE,
            WRONG,
            "without unbuildable",
            "what was taken over last",
            id="what was taken over cannot be built by now: without that provider",
        ),
        pytest.param(
            WRONG,
            NOW + b"nonsense: 1",
            "without wrong",
            "what was taken over last",
            id="a kind is not installed any more",
        ),
    ],
)
def test_worker_begins_with_the_best_there_is(
    path: Path, caplog: pytest.LogCaptureFixture, kept: bytes | None, now: bytes | None, expected: str, said: str
) -> None:
    if kept is not None:
        # As a worker does.
        configuration.keep(kept)
        configuration.served()
    if now is None:
        path.unlink()
    else:
        path.write_bytes(now)
    with caplog.at_level(logging.WARNING, logger="metrics_apiserver"):
        assert configuration.begin({}, make) == expected
    assert [record.message.rpartition(" goes on with ")[2] for record in caplog.records] == ([said] if said else [])


def test_settings_of_the_start_are_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master has checked them."""
    monkeypatch.setattr(last_good, "load", None)
    made: list[Settings] = []
    configuration.begin({}, lambda settings, **_: made.append(settings))
    assert made == [last_good._last_good[0].start]


def test_what_cannot_be_built_at_all_is_raised(path: Path) -> None:
    """Of what the file holds: it is what somebody has just written."""
    path.write_bytes(UNBUILDABLE)

    def fail(settings: Settings, **_: bool) -> None:
        raise ProviderError(settings.providers[0].name)

    with pytest.raises(ProviderError, match="unbuildable"):
        configuration.begin({}, fail)


def test_worker_after_the_first_is_told_that_it_takes_a_place(path: Path) -> None:
    told: list[tuple[bool, bool]] = []

    def fail(_: Settings, *, restarting: bool, some: bool) -> None:
        told.append((restarting, some))
        raise ProviderError("no")

    for _ in range(2):
        with pytest.raises(ProviderError):
            configuration.begin({}, fail)
        assert not configuration.has_served() or told[1:] == [(True, False), (True, True)]
        configuration.served()
    assert told == [(False, False), (True, False), (True, True)]


def test_without_a_file_there_is_one_candidate() -> None:
    assert [each.called for each in LastGood(settings_from({})).candidates()] == [""]


def test_another_server_than_gunicorn_reads_the_settings_itself() -> None:
    assert configuration.begin(environ(provider="writable"), make) == "writable"
    with pytest.raises(SettingsError, match="there is no such setting"):
        configuration.begin(environ(provider="writable", nonsense="1"), make)


def test_child_leaves_what_its_parent_reads(path: Path) -> None:
    """And so what the next worker reads: it is a child of the same master."""
    kept = LastGood(settings_from(environ(config=str(path))))
    child = os.fork()
    if not child:
        kept.keep(LATER)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert kept.kept() == LATER


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda memory: memory.__setitem__(slice(50, 55), b"xxxxx"), id="half of another content"),
        pytest.param(lambda memory: memory.__setitem__(slice(1, 9), b"\xff" * 8), id="a length that is none"),
        pytest.param(lambda memory: memory.__setitem__(slice(0, 41), b"\0" * 41), id="nothing yet"),
    ],
)
def test_half_a_write_is_nothing(path: Path, spoil: Callable[[object], None]) -> None:
    kept = LastGood(settings_from(environ(config=str(path))))
    kept.keep(LATER)
    spoil(kept._memory)
    assert kept.kept() is None
    kept.keep(b"x" * 2**24)
    kept.keep(b"y" * (2**24 + 1))
    assert kept.kept() == b"x" * 2**24
