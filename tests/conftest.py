"""A started server in this process, on the recorded cluster's objects, with the writable provider."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from werkzeug.test import Client

from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app
from metrics_apiserver.server import MetricsServer
from tests.conformance.recorded import CLUSTER_YAML, Answer, write_all

HERE = Path(__file__).parent
# Which tests need more than this process. One after the other, beside all others: they count on time and ports.
CONTROL_PLANE = ("controlplane", "k8s")
LIVE = ("fuzz", "live", "packaging", "serving", "providers/functions/test_server.py", "providers/proxy/test_live.py")
# Which take seconds each: thousands of requests, memory that is measured, waits of a real length.
SLOW = (
    *("answering/test_fronts.py", "auth/test_storms.py", "auth/test_targets.py", "auth/test_targets_over_tls.py"),
    *("benchmarks", "blueprints/test_metrics.py", "kube/test_bounds.py", "kube/test_kept.py", "kube/test_listing.py"),
    *("kube/test_objects.py", "kube/test_paces.py", "kube/test_store.py", "kube/test_waits.py", "providers"),
    *(
        "logs/test_hiding.py",
        "logs/test_writing.py",
        "openapi/test_answers.py",
        "reloading",
        "test_adapter.py",
        "test_cli.py",
        "test_connecting.py",
        "test_linear.py",
    ),
    *("test_yaml_values.py", "testing"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks here, where they are set: a test that runs pytest itself has a configuration of its own."""
    for mark in (
        "controlplane: needs the programs of the control plane",
        "live: starts servers in processes of their own",
        "slow: takes seconds",
    ):
        config.addinivalue_line("markers", mark)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder or file."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue  # of a test that runs pytest itself
        place = item.path.relative_to(HERE).as_posix()
        for name, folders in (("controlplane", CONTROL_PLANE), ("live", LIVE), ("slow", SLOW)):
            if is_in(place, folders):
                item.add_marker(name)


def is_in(place: str, folders: Iterable[str]) -> bool:
    """Whether a file of tests is one of these, or in one of these folders."""
    return f"{place}/".startswith(tuple(f"{folder}/" for folder in folders))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the tests of a file to one process, and those that start real servers all to the same."""
    from xdist.scheduler import LoadScopeScheduling

    class SideBySide(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            place = nodeid.partition("::")[0].removeprefix(f"{HERE.name}/")
            return "real servers" if is_in(place, (*CONTROL_PLANE, *LIVE)) else place

    return SideBySide(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write what a test has printed so that it can be sent to the process that reports: bad input has no encoding."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def environ(**settings: str) -> dict[str, str]:
    """Give the environment variables of these settings."""
    return {f"METRICS_APISERVER_{name.upper()}": value for name, value in settings.items()}


@pytest.fixture(name="make_server")
def _make_server() -> Iterator[Callable[..., MetricsServer]]:
    """Make started servers, standalone on the recorded objects unless told otherwise."""
    started = []

    def make(**settings: str) -> MetricsServer:
        defaults = {"objects": str(CLUSTER_YAML), "provider": "writable"}
        server = create_app(settings_from(environ(**{**defaults, **settings})))
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
