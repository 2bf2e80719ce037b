"""A started server in this process, on the recorded cluster's objects, with the writable provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import unquote

import pytest
from werkzeug.test import Client

from metrics_apiserver.factory import MetricsServer, create_app
from metrics_apiserver.settings import Settings
from tests.conformance.recorded import CLUSTER_YAML, Answer, write_all


def environ(**settings: str) -> dict[str, str]:
    """Give the environment variables of these settings."""
    return {f"METRICS_APISERVER_{name.upper()}": value for name, value in settings.items()}


@pytest.fixture(name="make_server")
def _make_server() -> Iterator[Callable[..., MetricsServer]]:
    """Make started servers, standalone on the recorded objects unless told otherwise."""
    started = []

    def make(**settings: str) -> MetricsServer:
        defaults = {"objects": str(CLUSTER_YAML), "provider": "writable"}
        server = create_app(Settings.from_environ(environ(**{**defaults, **settings})))
        server.start()
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture(name="server")
def _server(make_server: Callable[..., MetricsServer]) -> MetricsServer:
    """A server that holds no value but the three external series of the reference."""
    return make_server()


@pytest.fixture(name="client")
def _client(server: MetricsServer) -> Client:
    return Client(server)


@pytest.fixture(name="written")
def _written(client: Client) -> Client:
    """A client of a server that was written what the reference was written."""
    write_all(asker(client))
    return client


def asker(client: Client) -> Callable[[str, str, dict[str, str], bytes], Answer]:
    """Ask a WSGI application as the recorded cases do."""

    def ask(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        # As gunicorn has it: the target as it came, and the path decoded from it.
        raw, _, query = path.partition("?")
        target = {"RAW_URI": path, "PATH_INFO": unquote(raw, "latin-1"), "QUERY_STRING": query}
        response = client.open("/", method=method, headers=headers, data=body, environ_overrides=target)
        return Answer(response.status_code, response.headers["Content-Type"], response.data)

    return ask
