"""A worker that takes the place of another (it died, or SIGHUP) when something that it needs is wrong by now."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.controlplane.waiting import wait_until
from tests.distributions import install_providers
from tests.live.server import LiveServer
from tests.live.test_reload import Readers

API = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
FUNCTIONS = """
import helper
from metrics_apiserver.provider.functions import Metrics, every

metrics = Metrics()

@metrics.external("queue-depth", trigger=every(seconds=0.1))
def depth():
    return helper.VALUE
"""
CONFIG = """
providers:
- {name: functions, kind: functions, options: {file: queues.py}, match: {metrics: [queue-*]}}
- {name: fragile, kind: fragile, match: {metrics: [fragile-*]}}
- {name: ten, kind: constant, options: {value: 10}, match: {metrics: [ten]}}
"""
# Begins unless a file says otherwise, and counts what it may do.
FRAGILE = """
import pathlib
from metrics_apiserver.provider import ExternalMetricsProvider

def told(word):
    path = pathlib.Path("trouble")
    return path.exists() and path.read_text() == word

class Fragile(ExternalMetricsProvider):
    def __init__(self, context, options):
        super().__init__(context, options)
        if told("build"):
            raise ValueError("the secret password is no good")

    def start(self):
        if told("start"):
            raise KeyError("start")
        if told("exit"):
            raise SystemExit(3)

    def get_external_metric(self, ctx, namespace, metric_selector, info):
        return []
"""


class Restarted:
    """A server whose worker is replaced, by its death or by a signal."""

    def __init__(self, server: LiveServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def workers(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.server.log())]

    def ready(self) -> int:
        """How many workers have served so far."""
        return self.server.log().count("the serving certificate: ")

    def die(self) -> None:
        os.kill(self.workers()[-1], signal.SIGKILL)

    def reload(self) -> None:
        self.server.process.send_signal(signal.SIGHUP)

    def status(self, metric: str) -> int:
        try:
            return self.server.ask("GET", f"{API}/{metric}", {}).status
        except OSError:
            return 0

    def value(self, metric: str) -> str:
        items = self.server.ask("GET", f"{API}/{metric}", {}).json["items"]
        return str(items[0]["value"]) if items else ""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    install_providers(tmp_path, "fragile-provider", "fragile = fragile_provider:Fragile")
    (tmp_path / "fragile_provider.py").write_text(FRAGILE, encoding="utf-8")
    (tmp_path / "queues.py").write_text(FUNCTIONS, encoding="utf-8")
    (tmp_path / "helper.py").write_text("VALUE = 42\n", encoding="utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def serve(folder: Path, *flags: str) -> LiveServer:
    return LiveServer(folder, f"--config={folder / 'config.yaml'}", *flags, environ={"PYTHONPATH": str(folder)})


@pytest.mark.parametrize("how", ["die", "reload"])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: (folder / "queues.py").write_text("def broken(:"), id="it is not Python any more"),
        pytest.param(lambda folder: (folder / "queues.py").write_text("1 / 0"), id="it raises"),
        pytest.param(lambda folder: (folder / "queues.py").write_text(""), id="it is empty"),
        pytest.param(lambda folder: (folder / "queues.py").unlink(), id="it is gone"),
    ],
)
def test_functions_file_that_is_wrong_by_now_is_served_as_it_was(
    folder: Path, spoil: Callable[[Path], object], how: str
) -> None:
    with serve(folder) as server:
        restarted = Restarted(server, folder)
        wait_until(lambda: restarted.value("queue-depth") == "42", 20, server.log)
        spoil(folder)
        getattr(restarted, how)()
        wait_until(lambda: restarted.ready() == 2, 20, server.log)
        wait_until(lambda: restarted.status("queue-depth") == 200, 20, server.log)
        wait_until(lambda: restarted.value("queue-depth") == "42", 20, server.log)
        assert "what it held at the start is served instead" in server.log()
        assert restarted.value("ten") == "10"


@pytest.mark.parametrize("how", ["die", "reload"])
@pytest.mark.parametrize(
    ("trouble", "metric"),
    [
        pytest.param(None, "queue-depth", id="what the functions file imports is gone"),
        pytest.param("build", "fragile-a", id="a provider cannot be built"),
        pytest.param("start", "fragile-a", id="a provider does not start"),
        pytest.param("exit", "fragile-a", id="a provider ends the program"),
    ],
)
def test_provider_that_cannot_begin_is_away_until_it_can(
    folder: Path, trouble: str | None, metric: str, how: str
) -> None:
    """And the rest serves; it is said in the metric, in the log, and to whoever may read `/debug`."""
    with serve(folder) as server:
        restarted = Restarted(server, folder)
        if trouble is None:
            (folder / "helper.py").unlink()
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        else:
            (folder / "trouble").write_text(trouble, encoding="utf-8")
        getattr(restarted, how)()
        wait_until(lambda: restarted.ready() == 2, 20, server.log)
        wait_until(lambda: restarted.status(metric) == 503, 20, server.log)
        assert restarted.value("ten") == "10"
        name = "functions" if trouble is None else "fragile"
        answer = server.ask("GET", f"{API}/{metric}", {})
        assert answer.json["message"] == (
            f"provider {name} is away: it could not be started again, and is tried from time to time"
        )
        assert f'metrics_apiserver_provider_away{{provider="{name}"}} 1.0' in server.ask("GET", "/metrics", {}).text
        assert f"provider {name} is away, and the others serve: " in server.log()
        assert f"{name} is away: " in server.ask("GET", "/debug/status", {}).text
        verbose = server.ask("GET", "/readyz?verbose", {})
        assert verbose.status == 200
        assert "password" not in verbose.text
        if trouble is None:
            (folder / "helper.py").write_text("VALUE = 43\n", encoding="utf-8")
        else:
            (folder / "trouble").unlink()
        wait_until(lambda: restarted.status(metric) == 200, 20, server.log)
        assert "metrics_apiserver_provider_away{" not in server.ask("GET", "/metrics", {}).text
        # The log has the traceback of what is no sentence.
        server.log_file.write_text("", encoding="utf-8")


def test_worker_that_cannot_begin_at_all_leaves_the_one_that_serves(folder: Path) -> None:
    """SIGHUP: no read fails, and the next signal finds it mended."""
    objects = folder / "objects.yaml"
    objects.write_text("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: default}}\n", encoding="utf-8")
    (folder / "config.yaml").write_text("providers: [{name: queues, kind: constant}]", encoding="utf-8")
    with serve(folder, f"--objects={objects}") as server:
        restarted, readers = Restarted(server, folder), Readers(server)
        with readers.reading():
            good = objects.read_bytes()
            objects.write_text("- {kind: [", encoding="utf-8")
            restarted.reload()
            wait_until(lambda: "exited with code 1" in server.log(), 20, lambda: "the next worker has not left")
            assert len(restarted.workers()) == 2
            objects.write_bytes(good)
            restarted.reload()
            wait_until(lambda: restarted.ready() == 2, 20, lambda: "the next worker does not serve")
            count = len(readers.answers)
            wait_until(lambda: len(readers.answers) > count + 20, 20, lambda: "nothing is answered")
        assert {status for status, _ in readers.answers} == {200}
        server.log_file.write_text("", encoding="utf-8")


def test_worker_that_cannot_begin_after_a_death_is_tried_again(folder: Path) -> None:
    """The master does not give up."""
    objects = folder / "objects.yaml"
    objects.write_text("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: default}}\n", encoding="utf-8")
    with serve(folder, f"--objects={objects}") as server:
        restarted = Restarted(server, folder)
        good = objects.read_bytes()
        objects.write_text("- {kind: [", encoding="utf-8")
        restarted.die()
        wait_until(lambda: server.log().count("exited with code 1") > 1, 20, server.log)
        objects.write_bytes(good)
        wait_until(lambda: restarted.status("ten") == 200, 20, server.log)
        server.log_file.write_text("", encoding="utf-8")
