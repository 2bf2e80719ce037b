"""The probes: named checks, verbose answers, exclusions."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.test import Client

from metrics_apiserver.answering.probes import Passing, Probes
from metrics_apiserver.blueprints import probes
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.target import read_target
from tests.fakes import LOGGER


@pytest.fixture(name="probe")
def _probe() -> Client:
    """Probes of which one check fails."""
    app = Flask("test", static_folder=None)
    live = {"ping": lambda: None}
    told = {
        "file": lambda: Passing("/etc/adapter/config.yaml is in use"),
        "watch": lambda: Passing("no word of 10.0.0.7 for 70 s", remark="stale"),
    }
    failing = {"backend": lambda: "no route to 10.0.0.7"}
    checked = Probes({**live, **told}, {**live, **failing}, LOGGER)
    app.register_blueprint(
        probes.blueprint(lambda request: checked.respond(read_target(request.target), request.audit_id))
    )
    return Client(app)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        pytest.param("/livez", 200, "ok", id="passes"),
        pytest.param("/healthz", 200, "ok", id="passes under its old name"),
        pytest.param(
            "/livez?verbose",
            200,
            "[+]ping ok\n[+]file ok\n[+]watch ok: stale\nlivez check passed\n",
            id="passes, verbosely",
        ),
        pytest.param(
            "/readyz",
            500,
            "[+]ping ok\n[-]backend failed: reason withheld\nreadyz check failed\n",
            id="fails, and keeps the reason to itself",
        ),
        pytest.param("/readyz?exclude=backend", 200, "ok", id="the failing check excluded"),
        pytest.param(
            "/readyz?verbose&exclude=backend",
            200,
            "[+]ping ok\n[+]backend excluded: ok\nreadyz check passed\n",
            id="excluded, verbosely",
        ),
        pytest.param(
            "/livez?verbose&exclude=nope",
            200,
            "[+]ping ok\n[+]file ok\n[+]watch ok: stale\n"
            'warn: some health checks cannot be excluded: no matches for "nope"\nlivez check passed\n',
            id="an unknown exclusion",
        ),
        pytest.param("/readyz/ping", 200, "ok", id="one check"),
        pytest.param("/livez/file", 200, "ok", id="one check with something to say"),
        pytest.param("/readyz/backend", 500, "internal server error: reason withheld\n", id="one check that fails"),
        pytest.param("/livez/", 200, "ok", id="a trailing slash"),
    ],
)
def test_probe(probe: Client, path: str, status: int, text: str) -> None:
    """Status and text as k8s.io/apiserver has them: anybody may ask, so nobody is told a reason."""
    response = probe.get(path)
    assert (response.status_code, response.text) == (status, text)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_reason_is_in_the_log_once_in_a_while(probe: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", LOGGER.name)
    for path in ("/readyz", "/readyz?verbose", "/readyz/backend", "/readyz"):
        assert probe.get(path).status_code == 500
    assert [record.getMessage() for record in caplog.records] == ["the check backend fails: no route to 10.0.0.7"]


def test_reasons_are_told_to_who_may_read_debug(server: MetricsServer, client: Client) -> None:
    server.drain()
    checks = {check["name"]: check for check in client.get("/debug/status").get_json()["checks"]}
    assert checks["shutdown"] == {"name": "shutdown", "status": "failed", "detail": "the server is stopping"}
    assert checks["ping"] == {"name": "ping", "status": "ok"}


def test_head_is_answered(client: Client) -> None:
    """Load balancers probe so."""
    response = client.head("/livez")
    assert (response.status_code, response.data) == (200, b"")


def test_draining_server_is_alive_and_not_ready(server: MetricsServer, client: Client) -> None:
    """A stopping server gets no new requests, but must not be killed."""
    assert client.get("/readyz").status_code == 200
    server.drain()
    assert client.get("/readyz/shutdown").status_code == 500
    assert client.get("/readyz").status_code == 500
    assert client.get("/livez").status_code == 200
