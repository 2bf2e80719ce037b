"""The README's own commands, run as they stand against the embedded default."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.model.selectors import EVERYTHING
from metrics_apiserver.provider import ExternalMetricInfo, MetricNotFoundError, NamespacedName
from tests.controlplane.waiting import wait_until
from tests.fakes import info, provider_context, request_context
from tests.live.server import LiveServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CURL_LINES = [line for line in README.splitlines() if line.startswith("curl ")]


@pytest.fixture(name="embedded", scope="module")
def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """What `make run` serves, on another port."""
    with LiveServer(tmp_path_factory.mktemp("readme")) as server:
        yield server


def run(line: str, server: LiveServer) -> str:
    command = line.replace("https://127.0.0.1:6443", server.url).replace(
        "apiserver.local.config/certificates/apiserver.crt", str(server.ca_file)
    )
    assert command != line
    return subprocess.run(
        ["bash", "-c", f"{command} --silent --show-error --fail"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout


def test_curl_lines_work_in_their_order(embedded: LiveServer) -> None:
    """Both APIs, a selector, a write, its read back, and discovery."""
    selector, external, write, read, discovery = CURL_LINES

    def items(line: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run(line, embedded))["items"]
        return found

    assert [(item["describedObject"]["name"], item["value"]) for item in items(selector)] == [
        ("web-0", "300m"),
        ("web-1", "1500m"),
    ]
    assert [(item["metricLabels"], item["value"]) for item in items(external)] == [({"foo": "bar"}, "42")]
    assert run(write, embedded) == ""
    assert [item["value"] for item in items(read)] == ["500m"]
    wait_until(lambda: '"pods/packets-per-second"' in run(discovery, embedded), 10, "the metric is not listed")


def python_of(page: str) -> dict[str, Any]:
    """Run the Python of a page, block by block, and give what it defines."""
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
        exec(code, names)  # noqa: S102 - our own page
    return names


def test_ten_lines_of_the_readme_are_a_provider() -> None:
    """They answer for what they know, and with upstream's sentence for what they do not."""
    provider = python_of("README.md")["SessionsProvider"](provider_context(), {})
    asked = info("pods", "open-sessions")
    value = provider.get_metric_by_name(request_context(), NamespacedName("default", "web-0"), asked, EVERYTHING)
    assert str(value.value) == "12"
    with pytest.raises(MetricNotFoundError, match="the metric open-sessions for pods x"):
        provider.get_metric_by_name(request_context(), NamespacedName("default", "x"), asked, EVERYTHING)


def test_functions_of_the_readme_are_metrics() -> None:
    """One is polled, the other is called when it is asked."""
    depth, sessions = (each.declaration for each in python_of("README.md")["metrics"].registrations)
    assert (depth.name, depth.trigger is not None) == ("queue-depth", True)
    assert (sessions.name, sessions.trigger) == ("open-sessions", None)


def test_options_of_the_providers_page_are_loaded() -> None:
    """The class of the page reads its option and answers with it."""
    provider_class = python_of("docs/providers.md")["QueueProvider"]
    provider = provider_class(provider_context(), provider_class.Options().load({"depth": "3"}))
    (value,) = provider.get_external_metric(request_context(), "default", EVERYTHING, ExternalMetricInfo("orders"))
    assert (value.metric_name, str(value.value)) == ("orders", "3")
