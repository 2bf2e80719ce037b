"""The server's life: what it is told at the start, how it begins, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metrics_apiserver.embedded import curl_lines
from metrics_apiserver.serving.hooks import bind
from metrics_apiserver.serving.log import level_name
from metrics_apiserver.settings import ServingSettings
from tests.serving.conftest import APPLICATION, PROJECT, Server, free_port, headers, read_all, read_response, wait_for

HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


class TestStart:
    def test_every_problem_is_said_at_once_and_nothing_is_started(
        self, start: Callable[..., Server], tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        server = start(
            environ={
                "METRICS_APISERVER_SECURE_PORT": "0",
                "METRICS_APISERVER_BIND_ADDRESS": "0.0.0.0",  # noqa: S104 - it is refused
                "METRICS_APISERVER_PROVIDER": "nowhere",
                "METRICS_APISERVER_CERT_DIR": str(tmp_path / "file" / "x"),
                "METRICS_APISERVER_TYPO": "1",
                "WEB_CONCURRENCY": "3",
            }
        )
        assert server.process.wait(20) == 1
        first, *problems = server.logged().splitlines()
        assert first == "metrics-apiserver: the configuration has 6 problems:"
        assert all(line.startswith("  - ") for line in problems)
        for word in ("--secure-port", "--bind-address", "nowhere", "--cert-dir", "TYPO", "WEB_CONCURRENCY"):
            assert sum(word in line for line in problems) == 1, word

    def test_a_file_without_a_client_ca_stops_the_start(self, start: Callable[..., Server], tmp_path: Path) -> None:
        (tmp_path / "ca.crt").write_text("none")
        server = start(environ={"METRICS_APISERVER_CLIENT_CA_FILE": str(tmp_path / "ca.crt")})
        assert server.process.wait(20) == 1
        assert f"--client-ca-file={tmp_path}/ca.crt: " in server.logged()
        assert "certificate" in server.logged()

    def test_a_given_pair_is_checked(self, start: Callable[..., Server], tmp_path: Path) -> None:
        (tmp_path / "c").write_text("x")
        (tmp_path / "k").write_text("x")
        environ = {
            "METRICS_APISERVER_TLS_CERT_FILE": str(tmp_path / "c"),
            "METRICS_APISERVER_TLS_PRIVATE_KEY_FILE": str(tmp_path / "k"),
        }
        server = start(environ=environ)
        assert server.process.wait(20) == 1
        assert server.logged().splitlines() == [
            "metrics-apiserver: the configuration has 2 problems:",
            f"  - --tls-cert-file={tmp_path}/c: there is no certificate in PEM in it",
            f"  - --tls-private-key-file={tmp_path}/k: there is no private key in PEM in it that can be used",
        ]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            pytest.param(["--workers", "2"], "--workers=2: more than one worker", id="two workers"),
            pytest.param(["--bind", "0.0.0.0:1"], "--bind is not used here", id="another address"),
            pytest.param(["--certfile", "", "--keyfile", ""], "HTTPS only", id="no TLS"),
        ],
    )
    def test_gunicorns_own_flags_do_not_get_round_it(
        self, start: Callable[..., Server], arguments: list[str], says: str
    ) -> None:
        server = start(*arguments)
        assert server.process.wait(20) == 1
        assert says in server.logged()
        assert "Traceback" not in server.logged()
        assert server.notes() == []

    def test_an_application_that_gives_up_at_import_ends_the_server(self, start: Callable[..., Server]) -> None:
        application = "import sys\nsys.stderr.write('no application\\n')\nsys.exit(3)\n"
        server = start(application=application)
        assert server.process.wait(20) == 1
        assert server.logged().count("no application") == 1

    def test_an_application_that_cannot_start_ends_the_server(self, start: Callable[..., Server]) -> None:
        failing = APPLICATION.replace('self.note("start")', 'raise RuntimeError("no cluster")')
        server = start(application=failing)
        assert server.process.wait(20) == 3
        assert server.logged().count("RuntimeError: no cluster") == 1

    def test_it_says_where_it_is_and_what_to_try(self, start: Callable[..., Server]) -> None:
        server = start().wait_until_ready()
        log = server.logged()
        assert f"serving at https://127.0.0.1:{server.port} " in log
        lines = re.findall(r"^  (curl .*)$", log, flags=re.MULTILINE)
        assert len(lines) == 3
        for line in lines:
            command = [*shlex.split(line), "--silent", "--show-error", "--fail"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
            assert (done.returncode, done.stdout, done.stderr) == (0, "hello", ""), line

    def test_few_words_are_said_where_few_are_wanted(self, start: Callable[..., Server]) -> None:
        server = start(environ={"METRICS_APISERVER_V": "0", "METRICS_APISERVER_PROVIDER": "writable"})
        server.wait_until_ready()
        assert server.stop() == 0
        assert server.logged() == ""

    def test_the_configuration_file_has_the_same_names(self, tmp_path: Path) -> None:
        code = (
            "import runpy, metrics_apiserver.serving.config as config\n"
            "names = runpy.run_path('gunicorn.conf.py')\n"
            "assert all(names[name] is getattr(config, name) for name in config.__all__)\n"
            "public = {name for name in vars(config) if name.islower() and not name.startswith('_')}\n"
            "from gunicorn.config import KNOWN_SETTINGS\n"
            "known = {setting.name for setting in KNOWN_SETTINGS}\n"
            "assert set(config.__all__) == public & known, set(config.__all__) ^ (public & known)\n"
        )
        done = _python(code, {"METRICS_APISERVER_CERT_DIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr

    def test_nothing_runs_before_the_fork(self, tmp_path: Path) -> None:
        code = "import threading, metrics_apiserver.serving.config\nassert threading.active_count() == 1\n"
        done = _python(code, {"METRICS_APISERVER_CERT_DIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr


def _python(code: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


class TestStop:
    def test_a_request_under_way_is_finished(self, start: Callable[..., Server]) -> None:
        server = start().wait_until_ready()
        with server.connect() as busy, server.connect() as idle:
            idle.sendall(GET)
            read_response(idle)
            busy.sendall(HELD)
            wait_for((server.folder / "held").exists, "the request")
            server.process.terminate()
            wait_for(lambda: "drain" in server.notes(), "the drain")
            # A client with an idle connection may be sending already: it is answered, and told to come no more.
            idle.sendall(GET)
            assert headers(read_response(idle))["connection"] == "close"
            (server.folder / "release").touch()
            response = read_all(busy)
        assert response.startswith(b"HTTP/1.1 200 OK\r\n")
        assert response.endswith(b"hello")
        assert server.process.wait(20) == 0
        assert server.notes() == ["start", "drain", "stop"]

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
    def test_it_ends_with_code_0_and_lets_the_application_stop(self, start: Callable[..., Server], name: str) -> None:
        server = start().wait_until_ready()
        server.process.send_signal(signal.Signals[name])
        assert server.process.wait(20) == 0
        assert server.notes()[-1] == "stop"
        assert "Traceback" not in server.logged()

    @pytest.mark.parametrize(
        "then", ["time.sleep(60)", "time.sleep(1); sys.exit(3)"], ids=["it hangs", "it fails meanwhile"]
    )
    def test_a_server_that_is_told_to_stop_while_it_starts_ends_well(
        self, start: Callable[..., Server], then: str
    ) -> None:
        """A worker that hangs is ended when the graceful timeout is over; neither is a failure of the start."""
        slow = APPLICATION.replace('self.note("start")', f'self.note("start"); {then}')
        server = start("--graceful-timeout=3", application=slow)
        wait_for(lambda: server.notes() == ["start"], "the start")
        server.process.terminate()
        assert server.process.wait(20) == 0
        assert "cannot start" not in server.logged()
        assert "Traceback" not in server.logged()

    def test_a_reload_begins_anew_with_one_worker(self, start: Callable[..., Server]) -> None:
        server = start().wait_until_ready()
        server.process.send_signal(signal.SIGHUP)
        # The new worker may be quicker than the old one's end, or slower.
        wait_for(lambda: sorted(server.notes()) == ["start", "start", "stop"], "the reload")
        assert server.request("/hello").endswith(b"hello")

    def test_a_signal_for_another_worker_is_refused(self, start: Callable[..., Server]) -> None:
        server = start().wait_until_ready()
        server.process.send_signal(signal.SIGTTIN)
        wait_for(lambda: "there is one worker only" in server.logged(), "the refusal")
        assert server.stop() == 0
        assert server.notes().count("start") == 1


class TestOtherGunicorns:
    """What gunicorn's own command line can ask for, and this server cannot give."""

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            pytest.param(["metrics_apiserver.wsgi:app"], "without this server's configuration", id="no configuration"),
            pytest.param(
                ["-k", "gthread", "metrics_apiserver.wsgi:app"],
                "without this server's configuration",
                id="no configuration, and another worker",
            ),
            *(
                pytest.param(
                    ["-c", "python:metrics_apiserver.serving.config", "-k", kind, "metrics_apiserver.wsgi:app"],
                    ": this server has a worker of its own, and serves with no other",
                    id=f"our configuration with the worker {kind}",
                )
                for kind in ("gthread", "sync")
            ),
        ],
    )
    def test_start_is_refused(self, tmp_path: Path, arguments: list[str], sentence: str) -> None:
        port = free_port()
        environ = {"METRICS_APISERVER_SECURE_PORT": str(port), "METRICS_APISERVER_CERT_DIR": str(tmp_path / "c")}
        address = [] if "-c" in arguments else ["-b", f"127.0.0.1:{port}"]
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", *address, *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in (1, 3)
        assert done.stderr.count(sentence) == 1
        assert "Traceback" not in done.stderr

    def test_other_servers_load_the_application(self, tmp_path: Path) -> None:
        """The check is of gunicorn alone: a test, or another WSGI server, has its own TLS."""
        code = "from metrics_apiserver.wsgi import app\nassert app.test_client().get('/livez').status_code == 200\n"
        done = _python(code, {"METRICS_APISERVER_CERT_DIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        pytest.param(ServingSettings(), "127.0.0.1:6443", id="IPv4"),
        pytest.param(ServingSettings(bind_address="::1", secure_port=1), "[::1]:1", id="IPv6"),
        pytest.param(ServingSettings(bind_address="localhost"), "localhost:6443", id="a name"),
    ],
)
def test_an_address_is_written_as_in_a_url(serving: ServingSettings, expected: str) -> None:
    assert bind(serving) == expected


def test_the_lines_to_try_are_for_the_settings(tmp_path: Path) -> None:
    cert = tmp_path / "a folder" / "apiserver.crt"
    lines = [shlex.split(line) for line in curl_lines(bind(ServingSettings(bind_address="::1")), cert, given=False)]
    base = "https://[::1]:6443"
    assert all(line[:3] == ["curl", "--cacert", str(cert)] for line in lines)
    assert [line[-1] for line in lines] == [
        f"{base}/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/packets-per-second?labelSelector=app%3Dweb",
        f"{base}/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric",
        f"{base}/write-metrics/namespaces/default/pods/web-0/packets-per-second",
    ]
    assert json.loads(lines[2][lines[2].index("-d") + 1]) == "500m"
    given = curl_lines("127.0.0.1:6443", Path("/c"), given=True)
    assert all(line.startswith("curl --insecure ") for line in given)


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [(0, "warning"), (1, "warning"), (2, "info"), (3, "info"), (4, "debug"), (10, "debug")],
)
def test_the_level_of_a_verbosity(verbosity: int, expected: str) -> None:
    assert level_name(verbosity) == expected


def test_an_application_that_cannot_be_served_ends_the_start_with_a_sentence(start: Callable[..., Server]) -> None:
    """Any other WSGI application, such as a Flask one: what it lacks, and which one is meant."""
    served = start(application="def app(environ, start_response): ...\n")
    assert served.process.wait(30) == 4
    assert "function is not an application for this configuration of gunicorn: it has no client_" in served.logged()
    assert "serve metrics_apiserver.wsgi:app" in served.logged()
    assert "Traceback" not in served.logged()
