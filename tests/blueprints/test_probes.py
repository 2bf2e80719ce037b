"""The probes: named checks, verbose answers, exclusions."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.test import Client

from app.blueprints import probes
from app.factory import MetricsServer


@pytest.fixture(name="probe")
def _probe() -> Client:
    """Probes of which one check fails."""
    app = Flask("test", static_folder=None)
    live = {"ping": lambda: None}
    told = {"file": lambda: probes.Passing("read at noon")}
    app.register_blueprint(probes.blueprint({**live, **told}, {**live, "backend": lambda: "no route to it"}))
    return Client(app)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        pytest.param("/livez", 200, "ok", id="passes"),
        pytest.param("/healthz", 200, "ok", id="passes under its old name"),
        pytest.param("/livez?verbose", 200, "[+]ping ok\n[+]file ok: read at noon\nlivez check passed\n", id="passes"),
        pytest.param(
            "/readyz",
            500,
            "[+]ping ok\n[-]backend failed: no route to it\nreadyz check failed\n",
            id="fails, and says why",
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
            "[+]ping ok\n[+]file ok: read at noon\n"
            'warn: some health checks cannot be excluded: no matches for "nope"\nlivez check passed\n',
            id="an unknown exclusion",
        ),
        pytest.param("/readyz/ping", 200, "ok", id="one check"),
        pytest.param("/livez/file", 200, "ok", id="one check with something to say"),
        pytest.param("/readyz/backend", 500, "internal server error: no route to it\n", id="one check that fails"),
        pytest.param("/livez/", 200, "ok", id="a trailing slash"),
    ],
)
def test_probe(probe: Client, path: str, status: int, text: str) -> None:
    """Status and text as k8s.io/apiserver has them, but with the reason."""
    response = probe.get(path)
    assert (response.status_code, response.text) == (status, text)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


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
