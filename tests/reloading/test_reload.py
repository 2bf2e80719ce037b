"""A changed file, in process: what is right is taken over, what is wrong is kept out, and who is asked meanwhile."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.reloading import ConfigurationFile
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.settings import ProviderSettings
from metrics_apiserver.staleness import Following
from metrics_apiserver.telemetry import Telemetry
from tests.conformance.recorded import CLUSTER_YAML
from tests.conftest import environ
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER, FakeClock
from tests.mounts import Mount
from tests.reloading.recording import Journal

EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
WORKING = "metrics_apiserver_config_last_reload_successful"
TIMESTAMP = "metrics_apiserver_config_last_reload_success_timestamp_seconds"


def instances(*entries: str) -> str:
    """A file with these instances of the kind `recording`, each `name: options`."""
    rows = [entry.split(": ", 1) for entry in entries]
    return "providers:\n" + "".join(f"- {{name: {name}, kind: recording, {rest}}}\n" for name, rest in rows)


ONE, TWO = instances("a: options: {value: 1}"), instances("a: options: {value: 2}")


class Reloaded:
    """A started server with a file of its own."""

    def __init__(self, path: Path, text: str, **settings: str) -> None:
        self.path = path
        path.write_text(text, encoding="utf-8")
        defaults = {"objects": str(CLUSTER_YAML), "config": str(path), "request_timeout": "1s"}
        self.server: MetricsServer = create_app(settings_from(environ(**{**defaults, **settings})))
        self.client = Client(self.server)

    def write(self, text: str) -> None:
        """As most programs do it: empty the file, then write."""
        self.path.write_text(text, encoding="utf-8")

    def value(self, metric: str = "any") -> str | None:
        """Read a metric; None where there is none."""
        response = Client(self.server).get(f"{EXTERNAL}/namespaces/default/{metric}")
        assert response.status_code == 200, response.text
        items = response.get_json()["items"]
        return items[0]["value"] if items else None

    def wait_for(self, value: str | None, metric: str = "any") -> None:
        wait_until(lambda: self.value(metric) == value, 10, lambda: f"not {value}: {self.status()}", interval=0.01)

    def status(self) -> str:
        """What is known of the check, for who may know."""
        (check,) = [each for each in self.client.get("/debug/status").get_json()["checks"] if "detail" in each]
        assert (check["name"], check["status"]) == ("configuration", "ok")
        return check["detail"]

    def wait_for_status(self, words: str) -> None:
        wait_until(lambda: words in self.status(), 10, lambda: f"not {words!r}: {self.status()}", interval=0.01)

    def figure(self, name: str) -> float:
        """A figure of /metrics."""
        (line,) = [line for line in self.client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])


@pytest.fixture(name="journal")
def _journal() -> Iterator[Journal]:
    with Journal().offered() as journal:
        yield journal


@pytest.fixture(name="reload")
def _reload(journal: Journal, tmp_path: Path) -> Iterator[Callable[..., Reloaded]]:
    """Start servers, each with a file."""
    started = []

    def start(text: str, **settings: str) -> Reloaded:
        reloaded = Reloaded(tmp_path / "config.yaml", text, **settings)
        started.append(reloaded)
        reloaded.server.start()
        return reloaded

    yield start
    journal.released.set()
    for reloaded in started:
        reloaded.server.stop()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_right_file_is_taken_over(reload: Callable[..., Reloaded], journal: Journal) -> None:
    """The new one has started before it is asked, and the old one is stopped when no read can be under way in it."""
    reloaded = reload(ONE)
    begin = reloaded.figure(TIMESTAMP)
    assert reloaded.value() == "1"
    reloaded.write(TWO)
    reloaded.wait_for("2")
    assert journal.events == ["start 1", "start 2"]
    wait_until(lambda: "stop 1" in journal.events, 10, "the old one was not stopped")
    wait_until(lambda: reloaded.figure(TIMESTAMP) > begin, 10, reloaded.status)
    assert reloaded.figure(WORKING) == 1
    assert reloaded.status().startswith(f"{reloaded.path} is in use since 20")
    assert "refused" not in reloaded.status()


def test_lists_follow(reload: Callable[..., Reloaded]) -> None:
    reloaded = reload(ONE)

    def listed() -> list[str]:
        return [entry["name"] for entry in reloaded.client.get(EXTERNAL).get_json()["resources"]]

    assert listed() == ["recorded-1"]
    reloaded.write(TWO)
    wait_until(lambda: listed() == ["recorded-2"], 10, lambda: f"{listed()}")


def test_what_a_provider_counts_goes_with_it(reload: Callable[..., Reloaded]) -> None:
    """A successor registers the same metrics, and two of a kind are told apart."""
    reloaded = reload(instances("a: match: {metrics: x}", "b: options: {value: 5}"))
    assert (reloaded.value("x"), reloaded.value("y")) == ("1", "5")
    text = reloaded.client.get("/metrics").text
    assert 'recorded_reads_total{provider="a"} 1.0\nrecorded_reads_total{provider="b"} 1.0\n' in text
    assert text.count("# TYPE recorded_reads_total counter") == 1
    reloaded.write(instances("a: options: {value: 7}"))
    reloaded.wait_for("7")
    text = reloaded.client.get("/metrics").text
    assert 'recorded_reads_total{provider="a"}' in text
    assert 'recorded_reads_total{provider="b"}' not in text


WRONG: dict[str, tuple[str | None, str]] = {
    "no YAML": ("providers: [", "FILE:1: not YAML: expected the node content, but found '<stream end>'"),
    "a wrong key": (
        ONE.replace("options", "option"),
        "FILE:2: providers[0].option: There is no such key; did you mean options?",
    ),
    "a kind that is not there": (ONE.replace("recording", "none"), "FILE:2: provider a: there is no provider of the"),
    "a wrong option": (ONE.replace("1", "x"), "FILE:2: provider a (recording, from tests 1): the options are wrong: v"),
    "no provider": ("providers: []\n", "FILE:1: no provider is configured"),
    "another setting that is wrong": (f"{TWO}securePort: x\n", "FILE:3: securePort=x: Not a valid integer."),
    "a provider that cannot be built": (
        instances("a: options: {value: 2}", "b: options: {value: 3, fault: build}"),
        "provider b (recording, from tests 1) could not be started: RuntimeError: no backend",
    ),
    "a provider that does not start": (
        instances("a: options: {value: 2}", "b: options: {value: 3, fault: start}"),
        "provider b (recording) could not be started: RuntimeError: no connection",
    ),
    "nothing at all": (" \n", "FILE: there is nothing in it"),
    "no file": (None, "FILE: there is no such file, or it cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_file_is_kept_out(
    reload: Callable[..., Reloaded], caplog: pytest.LogCaptureFixture, journal: Journal, name: str
) -> None:
    """One warning, the old one goes on, and the state says so, until the file is right again."""
    text, problem = WRONG[name]
    reloaded = reload(ONE)
    with caplog.at_level(logging.WARNING, logger="metrics_apiserver"):
        if text is None:
            reloaded.path.unlink()
        else:
            reloaded.write(text)
        reloaded.wait_for_status("a newer one was refused at 20")
        # The file is looked at again every second.
        for _ in range(3):
            reloaded.server.configuration.look()
    shown_to_anybody = reloaded.client.get("/readyz?verbose").text
    assert "[+]configuration ok: a newer one is refused\n" in shown_to_anybody
    assert str(reloaded.path) not in shown_to_anybody
    # What a provider raises may be a secret, and anybody may read the probes.
    shown, _, raised = problem.replace("FILE", str(reloaded.path)).partition(": RuntimeError")
    assert shown in reloaded.status()
    assert ("the log says why" in reloaded.status()) is bool(raised)
    (warning,) = warnings(caplog)
    assert "is refused, and the old one stays in use" in warning
    assert problem.replace("FILE", str(reloaded.path)) in warning
    assert (reloaded.value(), reloaded.figure(WORKING)) == ("1", 0)
    assert reloaded.client.get("/readyz").status_code == 200
    started = [
        event.removeprefix("start ") for event in journal.events if event.startswith("start") and "1" not in event
    ]
    wait_until(lambda: all(f"stop {value}" in journal.events for value in started), 10, lambda: f"{journal.events}")
    assert "stop 1" not in journal.events
    reloaded.write(TWO)
    reloaded.wait_for("2")
    wait_until(lambda: reloaded.figure(WORKING) == 1, 10, reloaded.status)
    assert "refused" not in reloaded.status()


def test_every_problem_is_in_the_one_warning(reload: Callable[..., Reloaded], caplog: pytest.LogCaptureFixture) -> None:
    reloaded = reload(ONE)
    reloaded.write("typo: 1\nproviders:\n- {name: a, kind: nowhere, timeout: 1}\n")
    reloaded.wait_for_status("(and 2 more)")
    (warning,) = warnings(caplog)
    assert all(words in warning for words in ("timeout: Not a duration", "typo: there is", "of the kind nowhere"))


def test_taken_back_file_is_no_news(reload: Callable[..., Reloaded], journal: Journal) -> None:
    """What is in use already is right: nothing is built anew."""
    reloaded = reload(ONE)
    reloaded.write("providers: []")
    reloaded.wait_for_status("refused")
    reloaded.write(ONE)
    wait_until(lambda: reloaded.figure(WORKING) == 1, 10, reloaded.status)
    assert ("refused" in reloaded.status(), journal.events) == (False, ["start 1"])


@pytest.mark.parametrize(
    ("text", "same_provider", "same_instance"),
    [
        pytest.param("a: options: {value: 1}", True, True, id="nothing"),
        pytest.param("a: options: {value: 1}, timeout: 2s", True, False, id="how it is asked"),
        pytest.param("a: options: {value: 1}, match: {metrics: any}", True, False, id="what it is asked for"),
        pytest.param("a: options: {value: 2}", False, False, id="its options"),
        pytest.param("b: options: {value: 1}", False, False, id="its name"),
    ],
)
def test_what_is_built_anew(
    reload: Callable[..., Reloaded], journal: Journal, text: str, same_provider: bool, same_instance: bool
) -> None:
    """A provider keeps what it knows, and an instance its cache, unless something of it has changed."""
    reloaded = reload(ONE)
    (provider,) = reloaded.server.providers
    (instance,) = reloaded.server.running.instances
    reloaded.write(instances("z: match: {metrics: none}", text))
    wait_until(lambda: len(reloaded.server.providers) == 2, 10, reloaded.status)
    assert (reloaded.server.providers[1].provider is provider.provider) is same_provider
    assert (reloaded.server.running.instances[1] is instance) is same_instance
    assert len(journal.built) == (2 if same_provider else 3)
    assert reloaded.server.providers[1].settings == reloaded.server.running.instances[1].settings


def test_other_settings_are_named_and_the_providers_taken_over(
    reload: Callable[..., Reloaded], caplog: pytest.LogCaptureFixture
) -> None:
    reloaded = reload(ONE)
    reloaded.write(f"{TWO}maxConnections: 7\nlogFormat: json\nv: 2\n")
    reloaded.wait_for("2")
    wait_until(lambda: warnings(caplog), 10, "nothing was warned of")
    assert warnings(caplog) == [
        f"{reloaded.path}: only providers change while the server runs; restart it for: maxConnections, logFormat"
    ]


def test_read_under_way_ends_on_the_provider_that_it_began_with(
    reload: Callable[..., Reloaded], journal: Journal
) -> None:
    """Others are asked meanwhile, and the old one is not stopped before."""
    reloaded = reload(ONE.replace("options", "timeout: 5s, options"), request_timeout="5s")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(reloaded.value, "slow")
        wait_until(lambda: "read 1" in journal.events, 10, "the read has not begun")
        reloaded.write(TWO)
        reloaded.wait_for("2")
        assert not read.done()
        journal.released.set()
        assert read.result(10) == "1"
    assert "stop 1" not in journal.events[: journal.events.index("start 2") + 1]


def test_provider_that_hangs_in_its_start_holds_neither_reads_nor_the_stop(
    reload: Callable[..., Reloaded], journal: Journal
) -> None:
    reloaded = reload(ONE)
    reloaded.write(instances("a: options: {value: 2, fault: hang in start}"))
    reloaded.wait_for_status("a newer one is being taken over since 20")
    assert reloaded.value() == "1"
    begin = time.monotonic()
    reloaded.server.stop()
    assert time.monotonic() - begin < 2.5
    assert "stop 1" in journal.events
    journal.released.set()
    wait_until(lambda: "stop 2" in journal.events, 10, "what started too late was not stopped")
    assert reloaded.value() == "1"


def test_provider_that_hangs_in_its_start_keeps_no_later_file_out(
    reload: Callable[..., Reloaded], journal: Journal
) -> None:
    """It is refused after a while, and stopped when it comes back."""
    reloaded = reload(ONE)
    reloaded.server.running.start_seconds = 0.1
    reloaded.write(instances("a: options: {value: 2, fault: hang in start}"))
    reloaded.wait_for_status("provider a (recording) could not be started; the log says why")
    reloaded.write(instances("a: options: {value: 3}"))
    reloaded.wait_for("3")
    journal.released.set()
    wait_until(lambda: "stop 2" in journal.events, 10, "what started too late was not stopped")


def test_stop_does_not_wait_for_what_is_leaving(reload: Callable[..., Reloaded], journal: Journal) -> None:
    """The old one is stopped with the server, long before a read would be over; one that fails to is no obstacle."""
    reloaded = reload(ONE.replace("value: 1", "value: 1, fault: stop"), request_timeout="1m")
    reloaded.write(TWO)
    reloaded.wait_for("2")
    assert "stop 1" not in journal.events
    begin = time.monotonic()
    reloaded.server.stop()
    assert time.monotonic() - begin < 2.5
    wait_until(lambda: {"stop 1", "stop 2"} <= set(journal.events), 10, lambda: f"{journal.events}")


def test_nothing_is_taken_over_after_the_stop(reload: Callable[..., Reloaded], journal: Journal) -> None:
    reloaded = reload(ONE)
    reloaded.server.stop()
    reloaded.write(TWO)
    reloaded.server.configuration.look()
    assert reloaded.server.running.replace(settings_from(environ(config=str(reloaded.path))).providers) is False
    assert reloaded.value() == "1"
    wait_until(lambda: journal.events == ["start 1", "stop 1", "start 2", "stop 2"], 10, lambda: f"{journal.events}")


def test_mounted_config_map_is_followed(journal: Journal, tmp_path: Path) -> None:
    """The kubelet swaps a link to a folder; the file itself never changes."""
    mount = Mount(tmp_path / "config")
    mount.put({"config.yaml": ONE.encode()})
    path = mount.folder / "config.yaml"
    server = create_app(settings_from(environ(config=str(path), objects=str(CLUSTER_YAML))))
    server.start()
    try:
        reloaded: Any = Reloaded.__new__(Reloaded)
        reloaded.server, reloaded.client, reloaded.path = server, Client(server), path
        for value, text in ((2, TWO), (1, ONE), (3, TWO.replace("2", "3"))):
            mount.put({"config.yaml": text.encode(), "other": b"x"})
            reloaded.wait_for(str(value))
    finally:
        server.stop()


def test_refused_file_is_tried_again_although_it_has_not_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A backend that was away may be back; what is the same is warned of once."""
    path = tmp_path / "config.yaml"
    path.write_text("providers: [{name: a, kind: constant}]", encoding="utf-8")
    asked: list[str] = []

    def replace(providers: Sequence[ProviderSettings]) -> bool:
        asked.append(providers[0].name)
        if len(asked) < 3:
            raise ProviderError("its backend is away")
        return True

    clock = FakeClock()
    settings = settings_from(environ(config=str(path)))
    telemetry = Telemetry(CollectorRegistry())
    configuration = ConfigurationFile(settings, replace, telemetry=telemetry, clock=clock, logger=LOGGER)
    path.write_text("providers: [{name: b, kind: constant}]", encoding="utf-8")
    for seconds, calls in ((0.0, 1), (9.9, 1), (0.1, 2), (9.9, 2), (0.1, 3), (10.0, 3)):
        clock.seconds += seconds
        configuration.look()
        assert asked == ["b"] * calls
    assert warnings(caplog) == [
        "the new configuration is refused, and the old one stays in use: its backend is away",
    ]
    assert "was refused" not in configuration.status()


def test_pause_grows_while_the_same_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an hour it is tried some forty times, not 360; another content is tried at once."""
    monkeypatch.setattr("metrics_apiserver.reloading.configuration._SETTLE_SECONDS", 0.0)
    path = tmp_path / "config.yaml"
    path.write_text("providers: [{name: a, kind: constant}]", encoding="utf-8")
    asked: list[float] = []
    clock = FakeClock()

    def replace(_providers: Sequence[ProviderSettings]) -> bool:
        asked.append(clock.seconds - 1000)
        raise ProviderError("its backend is away")

    settings = settings_from(environ(config=str(path)))
    telemetry = Telemetry(CollectorRegistry())
    configuration = ConfigurationFile(settings, replace, telemetry=telemetry, clock=clock, logger=LOGGER)
    path.write_text("providers: [{name: b, kind: constant}]", encoding="utf-8")
    for _ in range(3600):
        configuration.look()
        clock.seconds += 1
    pauses = [int(after - before) for before, after in itertools.pairwise(asked)]
    assert (pauses[:3], pauses[-1], pauses == sorted(pauses)) == ([10, 10, 10], 120, True)
    assert len(asked) < 50
    path.write_text("providers: [{name: c, kind: constant}]", encoding="utf-8")
    configuration.look()
    assert asked[-1] == 3600


def test_file_that_takes_long_to_be_taken_over_is_stale_with_that_cause(tmp_path: Path) -> None:
    """The thread that starts the providers is silent meanwhile, and "nothing was heard" is not why."""
    path = tmp_path / "config.yaml"
    path.write_text("providers: [{name: a, kind: constant}]", encoding="utf-8")
    clock = FakeClock()
    following = Following(clock.monotonic, LOGGER)
    said: list[str | None] = []

    def replace(_providers: Sequence[ProviderSettings]) -> bool:
        for _ in range(2):
            clock.seconds += 59
            said.append(following.remark())
        return True

    configuration = ConfigurationFile(
        settings_from(environ(config=str(path))),
        replace,
        telemetry=Telemetry(CollectorRegistry()),
        clock=clock,
        logger=LOGGER,
        following=following,
    )
    path.write_text("providers: [{name: b, kind: constant}]", encoding="utf-8")
    configuration.start()
    try:
        wait_until(lambda: len(said) == 2 and following.remark() is None, 20, lambda: f"{said}, {following.remark()}")
    finally:
        configuration.stop()
    assert said == [None, "stale: the file of --config (for 118 s: a newer one is being taken over)"]


def test_long_list_of_problems_is_cut_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("providers: [{name: a, kind: constant}]", encoding="utf-8")
    settings = settings_from(environ(config=str(path)))
    telemetry = Telemetry(CollectorRegistry())
    configuration = ConfigurationFile(settings, lambda _: True, telemetry=telemetry, clock=FakeClock(), logger=LOGGER)
    path.write_text("\n".join(f"wrong{number}: 1" for number in range(100)), encoding="utf-8")
    configuration.look()
    (warning,) = warnings(caplog)
    assert warning.endswith("there is no such setting; and 50 more")
    assert "(and 99 more)" in configuration.status()


def test_without_a_file_nothing_is_followed(make_server: Callable[..., MetricsServer]) -> None:
    server = make_server()
    assert "configuration" not in Client(server).get("/readyz?verbose").text
    assert not any(thread.name == "configuration" for thread in threading.enumerate())
