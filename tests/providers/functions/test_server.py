"""A file of functions served as users do it: the flag, the answers, wrong files, and the end while a function hangs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.configuration import read, settings_from
from metrics_apiserver.settings import ProviderSettings, Settings
from tests.conftest import environ
from tests.controlplane.ports import free_ports
from tests.controlplane.waiting import wait_until
from tests.live.server import COMMAND, LiveServer

EXAMPLE = Path(__file__).parents[3] / "examples" / "functions.py"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
DEPTH = f"{EXTERNAL}/namespaces/default/queue-depth"


def items(server: LiveServer, path: str) -> list[dict[str, Any]]:
    answer = server.ask("GET", path, {})
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.json["items"]
    return found


def test_example_is_served_with_one_command(tmp_path: Path) -> None:
    """Without a cluster, on the bundled objects."""
    with LiveServer(tmp_path, f"--metrics={EXAMPLE}") as server:
        wait_until(lambda: server.ask("GET", DEPTH, {}).status == 200, 10, server.log)
        assert [(item["value"], item["metricLabels"]) for item in items(server, DEPTH)] == [("42", {})]
        assert [
            (item["value"], item["metricLabels"]) for item in items(server, f"{DEPTH}?labelSelector=queue%3Dorders")
        ] == [("30", {"queue": "orders"})]
        assert sorted(item["value"] for item in items(server, f"{DEPTH}?labelSelector=%21zone")) == ["12", "30"]
        assert items(server, f"{DEPTH}?labelSelector=queue%3Dnone") == []
        sessions = items(server, f"{CUSTOM}/namespaces/default/pods/*/open-sessions?labelSelector=app%3Dweb")
        assert {item["describedObject"]["name"]: item["value"] for item in sessions} == {"web-0": "7", "web-1": "7"}
        assert items(server, f"{CUSTOM}/namespaces/default/pods/web-0/open-sessions")[0]["value"] == "7"
        lag = f"{EXTERNAL}/namespaces/%s/consumer-lag?labelSelector=topic%%3Dparcels"
        assert [item["value"] for item in items(server, lag % "default")] == ["3"]
        assert items(server, lag % "shop") == []
        listed = server.ask("GET", EXTERNAL, {}).json["resources"]
        assert [row["name"] for row in listed] == ["consumer-lag", "queue-depth"]
        counted = server.ask("GET", "/metrics", {}).text
    assert 'metrics_apiserver_function_polls_total{provider="functions",result="ok"}' in counted
    assert "provider functions: functions of metrics-apiserver" in server.log()
    # What there is to try: its own metrics, and not those of the embedded default.
    assert "/namespaces/default/queue-depth" in server.log()
    assert "packets-per-second" not in server.log()


def test_metric_without_a_value_yet_is_an_error_with_the_reason(tmp_path: Path) -> None:
    """Never 0, and not an empty list; the sentence is in the answer."""
    (tmp_path / "broken.py").write_text(
        "from metrics_apiserver.provider.functions import Metrics, every\n"
        "metrics = Metrics()\n"
        "@metrics.external('queue-depth', trigger=every(seconds=1))\n"
        "def depth():\n"
        "    return open('/nowhere/password').read()\n",
        encoding="utf-8",
    )
    server = LiveServer(tmp_path, "--metrics=broken.py", "--log-format=json")
    try:
        server.wait_until_live()
        sentence = "its function fails with FileNotFoundError (the log says more)"
        answer = wait_until(
            lambda: (found := server.ask("GET", DEPTH, {})) and sentence in found.text and found, 10, server.log
        )
        assert (answer.status, answer.json["reason"]) == (503, "ServiceUnavailable")
        assert "/nowhere/password" not in answer.text
        assert "/nowhere/password" in server.log()
    finally:
        server.kill()


def test_server_ends_while_functions_hang(tmp_path: Path) -> None:
    """One in a poll, and one in a read; nobody waits for them."""
    (tmp_path / "hanging.py").write_text(
        "import pathlib, threading\n"
        "from metrics_apiserver.provider.functions import Metrics, every\n"
        "metrics = Metrics()\n"
        "@metrics.external('polled', trigger=every(seconds=60))\n"
        "def polled():\n"
        "    pathlib.Path('hanging').touch()\n"
        "    threading.Event().wait()\n"
        "@metrics.external('asked')\n"
        "def asked():\n"
        "    threading.Event().wait()\n",
        encoding="utf-8",
    )
    with LiveServer(tmp_path, "--metrics=hanging.py") as server:
        wait_until(lambda: (tmp_path / "hanging").exists(), 10, server.log)
        assert server.ask("GET", f"{EXTERNAL}/namespaces/default/asked", {}).status == 504


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        pytest.param("print(\n", 1, "wrong.py, line 1: SyntaxError: '(' was never closed", id="no Python"),
        pytest.param("\nmetrics = nowhere\n", 1, "wrong.py, line 2: NameError: name 'nowhere'", id="it cannot be run"),
        pytest.param("x = 1\n", 1, "wrong.py has no Metrics", id="nothing declared"),
        pytest.param(
            "from metrics_apiserver.provider.functions import Metrics\nmetrics = Metrics()\n",
            1,
            "wrong.py registers no function",
            id="no function",
        ),
    ],
)
def test_wrong_file_stops_the_start_with_one_sentence(tmp_path: Path, text: str, code: int, sentence: str) -> None:
    (tmp_path / "wrong.py").write_text(text, encoding="utf-8")
    (port,) = free_ports(1)
    command = [str(COMMAND), "serve", "--metrics=wrong.py", f"--secure-port={port}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr
    assert sentence in result.stderr


def named(settings: Settings) -> list[str]:
    return [f"{provider.name} ({provider.kind})" for provider in settings.providers]


def test_flag_is_one_more_provider_with_the_files_name(tmp_path: Path) -> None:
    """After those that are named otherwise; alone it is served alone, on the bundled objects."""
    alone = settings_from(environ(metrics="queues.py,team/mail.py"))
    assert alone.providers == (
        ProviderSettings("queues", "functions", {"file": "queues.py"}),
        ProviderSettings("mail", "functions", {"file": "team/mail.py"}),
    )
    assert alone.cluster.objects.endswith("objects.yaml")
    beside = settings_from(environ(metrics="queues.py", provider="constant"))
    assert named(beside) == ["constant (constant)", "queues (functions)"]
    config = tmp_path / "config.yaml"
    config.write_text("metrics: [queues.py]\nproviders:\n- {name: mine, kind: constant}\n", encoding="utf-8")
    assert named(settings_from(environ(config=str(config)))) == ["mine (constant)", "queues (functions)"]


def test_two_files_of_one_name_need_a_configuration() -> None:
    _, problems = read(environ(metrics="a/queues.py,b/queues.py"))
    (problem,) = problems
    assert str(problem) == "providers: the name queues is given twice; every instance needs its own"
