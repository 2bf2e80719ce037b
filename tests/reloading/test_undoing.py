"""What was begun is undone: after many refusals, and after many changes, nothing more is there than before."""

from __future__ import annotations

import gc
import itertools
import logging
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.reloading import calls, providers
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.settings import ProviderSettings, Settings
from tests.conformance.recorded import CLUSTER_YAML
from tests.conftest import environ
from tests.controlplane.waiting import wait_until
from tests.reloading.recording import Journal

TIMES = 50
FUNCTIONS = """
import threading
from metrics_apiserver.provider.functions import Metrics, every
metrics = Metrics()

def events():
    while True:
        threading.Event().wait()
        yield

@metrics.external("polled", trigger=every(seconds=60))
def polled(): return 1

@metrics.external("told", trigger=events())
def told(): return 1

@metrics.external("asked")
def asked(): return 1
"""
# One of each kind that there is, with what it begins.
EACH = """
- {{name: constant, kind: constant, options: {{list: [{{metric: x}}]}}}}
- {{name: writable, kind: writable}}
- {{name: sample, kind: sample}}
- {{name: functions, kind: functions, options: {{file: '{functions}'}}}}
- {{name: proxy, kind: proxy, options: {{url: 'https://127.0.0.1:1', listInterval: 1s}}}}
- {{name: shadow, kind: shadow, options: {{first: {{kind: constant}}, second: {{kind: functions, options: {{file: '{functions}'}}}}}}}}
- {{name: lazy, kind: recording, options: {{value: 10, thread: start}}}}
- {{name: eager, kind: recording, options: {{value: 11, thread: build}}}}
"""  # noqa: E501 - a row of a table
LAST = "- {name: last, kind: recording, options: {value: 12, fault: %s}}"
SHADOW = "- {name: last, kind: shadow, options: {first: {kind: functions, options: {file: '%s'}}, second: {kind: %s}}}"


@pytest.fixture(name="journal")
def _journal() -> Iterator[Journal]:
    with Journal().offered() as journal:
        yield journal


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Callable[[str], Settings]:
    """Read a file with these rows; `EACH` has its functions in a file of its own."""
    functions = tmp_path / "functions.py"
    functions.write_text(FUNCTIONS, encoding="utf-8")
    numbers = itertools.count()

    def read(rows: str) -> Settings:
        # A new one each time: the server follows its own.
        path = tmp_path / f"config-{next(numbers)}.yaml"
        path.write_text("providers:" + rows.format(functions=functions), encoding="utf-8")
        return settings_from(environ(config=str(path), objects=str(CLUSTER_YAML), request_timeout="1s"))

    return read


@pytest.fixture(name="server")
def _server(journal: Journal, settings: Callable[[str], Settings]) -> Iterator[MetricsServer]:
    """A server with one provider."""
    server = create_app(settings("\n- {{name: a, kind: recording}}"))
    server.start()
    yield server
    journal.released.set()
    server.stop()


def is_held(descriptor: Path) -> bool:
    """Whether it is a file, a pipe or a socket: those of a thread that follows files are opened when it gets to it."""
    try:
        return not str(descriptor.readlink()).startswith("anon_inode:")
    except FileNotFoundError:
        return False  # the one of this look


class Census:
    """What the process has: threads by their names without numbers, descriptors, modules, collectors and providers."""

    def __init__(self, journal: Journal, server: MetricsServer | None = None) -> None:
        self._journal = journal
        self._server = server
        self.before = self.count()

    def count(self) -> Counter[str]:
        gc.collect()
        found = Counter(f"thread {thread.name.rstrip('0123456789-')}" for thread in threading.enumerate())
        found["descriptors"] = sum(map(is_held, Path("/proc/self/fd").iterdir()))
        found["modules of functions"] = sum(name.startswith("_metrics_functions_") for name in sys.modules)
        found["providers"] = len(self._journal.alive)
        if self._server is not None:
            text = Client(self._server).get("/metrics").text
            found["metrics"] = sum(line.startswith("# TYPE") for line in text.splitlines())
        return found

    def more(self) -> Counter[str]:
        """What there is more than before, but for the thread of one iterable that waits for ever, of each provider."""
        more = self.count() - self.before
        more["thread events"] = max(0, more["thread events"] - 2)
        return +more


def hanging(server: MetricsServer) -> list[str]:
    """A line for each call that hangs."""
    text = Client(server).get("/metrics").text
    found = re.findall(r'provider_hanging_calls{call="(\w+)",provider="(\w*)"} (\d+)', text)
    return [f"{call} {name}" for call, name, count in found for _ in range(int(count))]


def forget(journal: Journal) -> None:
    journal.built.clear()
    journal.events.clear()


REFUSALS = {
    "one raises when it is built": LAST % "build",
    "one raises at its start": LAST % "start",
    "one wants to end the process when it is built": LAST % "exit in build",
    "one wants to end the process at its start": LAST % "exit in start",
    "one registers a metric twice": LAST % "metrics",
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("place", ["last", "first"])
def test_refused_replacement_leaves_nothing(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings], name: str, place: str
) -> None:
    """Fifty times, with one of each kind beside it; the one that is asked goes on."""
    row = REFUSALS[name].replace("{", "{{").replace("}", "}}")
    wanted = settings(EACH + row if place == "last" else f"\n{row}{EACH}").providers
    census = Census(journal, server)
    for _ in range(TIMES):
        with pytest.raises(ProviderError, match="could not be started"):
            server.running.replace(wanted)
        forget(journal)
    wait_until(lambda: not census.more(), 20, lambda: f"{census.more()}")
    assert [each.name for each in server.providers] == ["a"]


def test_who_fails_is_tried_first_and_alone(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings]
) -> None:
    """What is retried is the one that failed, not all that is right beside it."""
    wanted = settings(
        "\n- {{name: b, kind: recording, options: {{value: 2}}}}\n"
        + LAST.replace("{", "{{").replace("}", "}}") % "start"
    )
    expected = (["start 2", "start 12", "stop 12", "stop 2"], ["start 12", "stop 12"], ["start 12", "stop 12"])
    for events in expected:
        with pytest.raises(ProviderError):
            server.running.replace(wanted.providers)
        assert sorted(journal.events) == sorted(["start 1", *events])
        journal.events[:] = ["start 1"]


def test_replaced_providers_are_freed(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings]
) -> None:
    """Fifty good changes, each with providers of other names: also what was counted of them goes."""
    rows = EACH.replace("{{name: ", "{{name: %s-")
    census = Census(journal, server)
    text = Client(server).get("/metrics").text.count("\n")
    for number in range(TIMES):
        assert server.running.replace(settings(rows.replace("%s", str(number))).providers)
        forget(journal)
    assert server.running.replace(settings("\n- {{name: a, kind: recording}}").providers)
    forget(journal)

    def grown() -> Counter[str]:
        more = census.more()
        # Each waits for an event that never comes, and holds nothing but its iterable.
        del more["thread events"]
        return +more

    wait_until(lambda: not grown(), 30, lambda: f"{grown()}")
    wait_until(lambda: Client(server).get("/metrics").text.count("\n") <= text, 10, "metrics of those that are gone")


@pytest.mark.parametrize("name", REFUSALS)
def test_start_of_a_server_that_fails_leaves_nothing(
    journal: Journal, settings: Callable[[str], Settings], name: str
) -> None:
    """Both halves: what is built by `create_app`, and what is started by `start`."""
    wanted = settings(EACH + REFUSALS[name].replace("{", "{{").replace("}", "}}"))
    census = Census(journal)
    for _ in range(10):
        with pytest.raises(ProviderError, match="could not be started"):
            create_app(wanted).start()
        forget(journal)

    def grown() -> Counter[str]:
        more = census.more()
        del more["thread events"]
        return +more

    wait_until(lambda: not grown(), 20, lambda: f"{grown()}")


def test_first_of_a_shadow_is_stopped_where_the_second_cannot_be_built(
    journal: Journal, settings: Callable[[str], Settings], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("raise RuntimeError('no')", encoding="utf-8")
    row = "\n- {{{{name: s, kind: shadow, options: {{{{first: {{{{kind: functions, options: {{{{file: '{{functions}}'}}}}}}}}, second: {{{{kind: functions, options: {{{{file: '{}'}}}}}}}}}}}}}}}}"  # noqa: E501
    wanted = settings(row.format(wrong))
    census = Census(journal)
    with pytest.raises(ProviderError, match="line 1: RuntimeError: no"):
        create_app(wanted)
    assert not census.more()


@pytest.mark.parametrize("place", ["build", "start"])
def test_hanging_call_is_made_once(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings], place: str
) -> None:
    """It is known, counted and not repeated while it hangs; what comes back too late is stopped."""
    server.running.start_seconds = 0.1
    row = "\n- {{name: b, kind: recording, options: {{value: 2, thread: PLACE, fault: hang in PLACE}}}}"
    wanted = settings(row.replace("PLACE", place)).providers
    with pytest.raises(ProviderError, match=f"b .recording. could not be started: its {place} takes longer than 100ms"):
        server.running.replace(wanted)
    census = Census(journal, server)
    for _ in range(TIMES):
        with pytest.raises(ProviderError, match=f"its {place} of 20.* hangs, and it is not tried again before that"):
            server.running.replace(wanted)
    assert not census.more()
    assert journal.events.count(f"hang in {place} 2") == 1
    assert hanging(server) == [f"{place} b"]
    journal.released.set()
    wait_until(lambda: not hanging(server), 10, "it is still counted")
    assert journal.events[-1] == "stop 2"
    server.running.start_seconds = 10.0
    assert server.running.replace(wanted)
    assert [each.name for each in server.providers] == ["b"]


def test_undoing_that_hangs_is_not_repeated(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings]
) -> None:
    rows = "\n- {{name: b, kind: recording, options: {{value: 2, fault: hang in stop}}}}\n- {{name: c, kind: recording, options: {{value: 3, fault: start}}}}"  # noqa: E501
    wanted = settings(rows).providers
    for _ in range(3):
        with pytest.raises(ProviderError):
            server.running.replace(wanted)
    assert journal.events.count("hang in stop 2") == 1


def test_going_back_is_possible_while_the_old_one_hangs_in_its_stop(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings]
) -> None:
    one, two = (
        settings(
            f"\n- {{{{name: b, kind: recording, options: {{{{value: {value}, fault: hang in stop}}}}}}}}"
        ).providers
        for value in (1, 2)
    )
    for wanted in (one, two, one):
        assert server.running.replace(wanted)
    wait_until(lambda: "hang in stop 1" in journal.events, 10, lambda: f"{journal.events}")
    assert server.running.replace(two)


@pytest.mark.parametrize("fault", ["hang in build", "hang in start"])
def test_number_of_those_that_hang_is_bounded(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings], fault: str
) -> None:
    """A file that changes all the time, each time to another one that hangs."""
    # Enough for what does not hang, on a machine that is busy.
    server.running.start_seconds = 0.2
    census = Census(journal)
    for value in range(calls.MOST_HANGING):
        with pytest.raises(ProviderError, match="takes longer than"):
            server.running.replace([ProviderSettings("b", "recording", {"value": value, "fault": fault})])
    for value in range(100, 100 + TIMES):
        with pytest.raises(ProviderError, match="8 others hang, and nothing is begun beside them"):
            server.running.replace([ProviderSettings("b", "recording", {"value": value, "fault": fault})])
    assert sum(count for name, count in census.more().items() if name.startswith("thread")) == calls.MOST_HANGING


def test_what_hangs_of_the_replaced_is_bounded(
    server: MetricsServer, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops and listings: a sentence says so, and it goes on when they have come back."""
    monkeypatch.setattr(providers, "MOST_LEFT_BEHIND", 6)
    server.running._leaving._seconds = 0.0

    def replace(number: int, fault: str) -> None:
        options = {"value": number, "fault": fault}
        server.running.replace([ProviderSettings("b", "recording", options)])

    for number in range(0, 6, 2):
        replace(number, "hang in stop")
        replace(number + 1, "hang in list")
        wait_until(lambda n=number: f"hang in stop {n}" in journal.events, 10, "not stopped")
        wait_until(lambda n=number: f"hang in list {n + 1}" in journal.events, 10, "not listed")
        replace(number + 1, "")
    wait_until(lambda: len(hanging(server)) == 6, 20, lambda: f"{hanging(server)}")
    for _ in range(TIMES):
        with pytest.raises(ProviderError, match="6 calls of providers that were replaced hang, of b; wait until they"):
            replace(100, "")
    journal.released.set()
    wait_until(lambda: not hanging(server), 20, "they are still counted")
    assert server.running.replace([ProviderSettings("b", "recording", {"value": 1})])


def test_reads_that_hang_in_the_replaced_are_counted(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings]
) -> None:
    assert server.running.replace(settings("\n- {{name: b, kind: recording, timeout: 10ms}}").providers)
    for _ in range(3):
        Client(server).get("/apis/external.metrics.k8s.io/v1beta1/namespaces/x/slow")
    assert server.running.replace(settings("\n- {{name: b, kind: recording, timeout: 1s}}").providers)
    wait_until(lambda: hanging(server) == ["read b"] * 3, 10, lambda: f"{hanging(server)}")
    journal.released.set()
    wait_until(lambda: not hanging(server), 10, "they are still counted")


def test_threads_that_stay_behind_are_bounded(
    server: MetricsServer, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a provider leaves running although it was stopped."""
    monkeypatch.setattr(providers, "MOST_MORE_THREADS", 20)
    release = threading.Event()
    for _ in range(20 + sum(each.settings.concurrency for each in server.running.instances) + 1):
        threading.Thread(target=release.wait, name="stray-7", daemon=True).start()
    try:
        with pytest.raises(ProviderError, match=r"what providers began does not end when they are stopped \(.*stray-"):
            server.running.replace([ProviderSettings("b", "recording", {"value": 2})])
    finally:
        release.set()
    wait_until(lambda: not any(each.name == "stray-7" for each in threading.enumerate()), 10, "they have not ended")
    assert server.running.replace([ProviderSettings("b", "recording", {"value": 2})])


def test_start_that_hangs_stops_the_start_of_the_server_with_a_sentence(
    journal: Journal, settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not gunicorn's, which names nobody."""
    monkeypatch.setattr(providers, "FIRST_START_SECONDS", 0.2)
    rows = "\n- {{name: b, kind: recording, options: {{value: 2}}}}\n- {{name: c, kind: recording, options: {{value: 3, fault: hang in start}}}}"  # noqa: E501
    server = create_app(settings(rows))
    with pytest.raises(ProviderError, match=r"provider c \(recording\) could not be started: its start takes longer"):
        server.start()
    assert {"start 2", "stop 2", "stop 3"} <= set(journal.events)


def test_change_that_hangs_in_its_check_is_looked_at_once(
    server: MetricsServer, journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Importing a provider is somebody's code as well."""
    looked: list[bytes] = []

    def load(_environ: object, content: bytes) -> Any:
        looked.append(content)
        journal.released.wait()
        raise RuntimeError

    monkeypatch.setattr("metrics_apiserver.reloading.configuration._CHECK_SECONDS", 0.1)
    monkeypatch.setattr("metrics_apiserver.reloading.configuration._AGAIN_SECONDS", 0.0)
    configuration = server.configuration
    monkeypatch.setattr(configuration, "_load", load)
    configuration.stop()
    wait_until(lambda: not any(each.name == "configuration" for each in threading.enumerate()), 10, "it is followed")
    Path(configuration.path).write_text("providers: []", encoding="utf-8")
    configuration._stopping.clear()
    with caplog.at_level(logging.WARNING, logger="metrics_apiserver"):
        for _ in range(5):
            configuration.look()
    assert len(looked) == 1
    assert "could not be checked; the log says why" in configuration.status()
    assert hanging(server) == ["check "]


def test_listing_that_hangs_is_counted(
    server: MetricsServer, journal: Journal, settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a provider that is asked; it has one thread, whatever is read and written meanwhile."""
    monkeypatch.setattr("metrics_apiserver.discovery.listings.HANGING_SECONDS", 0.05)
    rows = "\n- {{name: b, kind: recording, options: {{value: 2, fault: hang in list}}}}"
    assert server.running.replace(settings(rows).providers)
    wait_until(lambda: hanging(server) == ["list b"], 10, lambda: f"{hanging(server)}")
    for _ in range(TIMES):
        server.discovery.refresh_soon()
    assert [thread.name for thread in threading.enumerate()].count("listing-b") == 1
    journal.released.set()
    wait_until(lambda: not hanging(server), 10, lambda: f"{hanging(server)}")
