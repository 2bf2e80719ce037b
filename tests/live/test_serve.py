"""The server as users start it: the two commands, their output, wrong settings, and many clients at once."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from OpenSSL import SSL

from metrics_apiserver.model.quantity import Quantity
from tests.controlplane.waiting import wait_until
from tests.distributions import install_providers
from tests.live.server import COMMAND, LiveServer, send

API = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods"
ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("form", ["gunicorn wsgi:app in the checkout", "metrics-apiserver serve anywhere"])
def test_embedded_default_prints_three_curl_lines_that_work(tmp_path: Path, form: str) -> None:
    """Nothing configured: standalone, loopback, self-signed; and what it prints to try can be pasted."""
    command: tuple[str, ...] = ()
    if form.startswith("gunicorn"):
        # A copy, as gunicorn reads its configuration from the folder it is started in.
        for name in ("wsgi.py", "gunicorn.conf.py"):
            shutil.copy(ROOT / name, tmp_path / name)
        command = (str(Path(sys.executable).parent / "gunicorn"), "wsgi:app")
    with LiveServer(tmp_path, command=command) as server:
        lines = wait_until(
            lambda: [line.strip() for line in server.log().splitlines() if line.strip().startswith("curl ")],
            10,
            lambda: f"no curl lines:\n{server.log()}",
        )
        assert "standalone mode" in server.log()
        selector, external, write = (
            run(tmp_path, "bash", "-c", f"{line} --silent --show-error --fail") for line in lines
        )
        values = {item["describedObject"]["name"]: item["value"] for item in json.loads(selector.stdout)["items"]}
        assert values == {"web-0": "300m", "web-1": "1500m"}
        assert [item["value"] for item in json.loads(external.stdout)["items"]] == ["42", "43"]
        assert (write.returncode, write.stdout, write.stderr) == (0, "", "")
        again = run(tmp_path, "bash", "-c", f"{lines[0]} --silent --show-error --fail")
        assert json.loads(again.stdout)["items"][0]["value"] == "500m"


def test_wrong_settings_stop_the_start_with_every_problem(tmp_path: Path) -> None:
    """One list, exit code 1, no traceback: flags, file, provider names and provider options alike."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "typo: 1\nproviders:\n- {name: a, kind: nowhere}\n- {name: b, kind: writable, options: {x: 1}}\n",
        encoding="utf-8",
    )
    result = run(tmp_path, str(COMMAND), "serve", f"--config={config}", "--secure-port=x", "--bind-address=0.0.0.0")
    assert (result.returncode, result.stdout) == (1, "")
    for words in (
        "the configuration has 5 problems:",
        "--secure-port (METRICS_APISERVER_SECURE_PORT)=x",
        "--bind-address=0.0.0.0: ",
        f"{config}:1: typo: there is no such setting",
        f"{config}:3: provider a: there is no provider of the kind nowhere; installed are: constant, ",
        "the options are wrong: x: Unknown field.",
    ):
        assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_settings_stop_gunicorn_alone_too(tmp_path: Path) -> None:
    """`gunicorn wsgi:app` reads the same settings by itself."""
    gunicorn = str(Path(sys.executable).parent / "gunicorn")
    environ = {"METRICS_APISERVER_PROVIDER": "nowhere", "WEB_CONCURRENCY": "4", "PATH": "/usr/bin:/bin"}
    result = run(ROOT, gunicorn, "wsgi:app", environ=environ)
    assert result.returncode == 1
    assert "the configuration has 2 problems:" in result.stderr
    assert "Traceback" not in result.stderr


def test_provider_that_cannot_be_built_ends_the_start(tmp_path: Path) -> None:
    """Only the worker can know: the sentence, the exit status of every start that fails, and no restart loop."""
    install_providers(tmp_path, "failing-provider", "failing = failing_provider:Failing")
    (tmp_path / "failing_provider.py").write_text(
        "from metrics_apiserver.provider import CustomMetricsProvider\n"
        "class Failing(CustomMetricsProvider):\n"
        "    def __init__(self, context, options):\n"
        "        raise ConnectionError('the backend said no')\n"
        "    def get_metric_by_name(self, ctx, name, info, metric_selector): ...\n",
        encoding="utf-8",
    )
    environ = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    result = run(tmp_path, str(COMMAND), "serve", "--provider=failing", environ=environ)
    sentence = (
        "provider failing (failing, from failing-provider 1.0) could not be started: ConnectionError: the backend"
    )
    assert result.returncode == 1
    assert result.stderr.count(sentence) == 1
    assert "serving at" not in result.stderr
    assert "Traceback" not in result.stderr


def test_flag_wins_over_its_environment_variable(tmp_path: Path) -> None:
    """The value that is refused is the flag's."""
    environ = {"METRICS_APISERVER_SECURE_PORT": "from-environment", "PATH": "/usr/bin:/bin"}
    result = run(tmp_path, str(COMMAND), "serve", "--secure-port=from-flag", environ=environ)
    assert "=from-flag: Not a valid integer." in result.stderr
    assert "from-environment" not in result.stderr


def test_providers_lists_what_is_installed(tmp_path: Path) -> None:
    """Name, distribution and version."""
    result = run(tmp_path, str(COMMAND), "providers")
    assert result.returncode == 0
    header, *rows = (line.split() for line in result.stdout.splitlines())
    assert header == ["NAME", "DISTRIBUTION", "VERSION"]
    assert ["writable", "metrics-apiserver", "0.1.0"] in rows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["serve", "--secure-prot=1"], "unrecognized arguments: --secure-prot=1", id="a typo"),
        pytest.param(["serve", "--secure=1"], "unrecognized arguments", id="an abbreviation"),
        pytest.param([], "required: command", id="no command"),
    ],
)
def test_unknown_flags(tmp_path: Path, arguments: list[str], words: str) -> None:
    """A misspelt flag is not taken for another."""
    result = run(tmp_path, str(COMMAND), *arguments)
    assert result.returncode == 2
    assert words in result.stderr


def test_ten_thousand_writes_and_reads_from_sixteen_threads_lose_nothing(live: LiveServer) -> None:
    """Over TLS and keep-alive, through the whole server."""
    threads, each = 16, 10_000 // 16 // 2

    def work(number: int) -> int:
        connection = live.connect()
        try:
            for turn in range(each):
                path = f"pod-{number}/m{turn}"
                body = json.dumps(f"{turn}m").encode()
                written = send(connection, "POST", f"/write-metrics/namespaces/shop/pods/{path}", {}, body)
                assert (written.status, written.body) == (200, b"")
                read = send(connection, "GET", f"{API}/{path}", {})
                assert read.json["items"][0]["value"] == str(Quantity.from_milli(turn))
        finally:
            connection.close()
        return each

    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(work, range(threads))) == threads * each
    for number in range(threads):
        last = live.ask("GET", f"{API}/pod-{number}/m{each - 1}", {})
        assert last.json["items"][0]["value"] == str(Quantity.from_milli(each - 1))


def test_half_a_body_writes_nothing(live: LiveServer) -> None:
    """Half of a number would be another number."""
    head = "POST /write-metrics/namespaces/shop/pods/half/m HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n12"
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as raw:
        raw.settimeout(None)  # pyOpenSSL wants a socket that waits
        connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), raw)
        connection.set_connect_state()
        connection.sendall(head.encode())
        connection.shutdown()  # says goodbye in our direction, and reads on
        answer = b""
        while not answer.endswith(b"}\n"):
            answer += connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the body ends after 2 of 4 bytes" in answer
    assert live.ask("GET", f"{API}/half/m", {}).status == 404


OWN = """
from metrics_apiserver.provider.functions import Metrics, every

metrics = Metrics()

@metrics.external("Queue-Depth", trigger=every(seconds=5))
def depth():
    return 42

@metrics.custom("pods", "open-sessions")
def sessions(ctx, objects):
    return {each.name: 7 for each in objects}

@metrics.custom("nodes", "heat")
def heat(ctx, objects):
    return 36
"""


def test_own_functions_are_listed_with_curl_lines_that_work(tmp_path: Path) -> None:
    """One for each metric: what is printed can be pasted, and has values."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    with LiveServer(tmp_path, "--metrics=own.py") as server:
        lines = wait_until(
            lambda: [line.strip() for line in server.log().splitlines() if line.strip().startswith("curl ")],
            10,
            lambda: f"no curl lines:\n{server.log()}",
        )
        answers = [
            json.loads(run(tmp_path, "bash", "-c", f"{line} --silent --show-error --fail").stdout) for line in lines
        ]
        assert [sorted({item["value"] for item in answer["items"]}) for answer in answers] == [["36"], ["7"], ["42"]]
        assert [line.rpartition("/")[2].strip("'") for line in lines] == ["heat", "open-sessions", "Queue-Depth"]
