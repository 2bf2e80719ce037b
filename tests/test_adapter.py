"""Programs of provider authors, as processes: the walkthrough's with its `--msg`, and smaller ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metrics_apiserver.adapter import Adapter
from tests.controlplane.ports import free_ports
from tests.live.server import LiveServer
from tests.packaging.pages import blocks

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "walkthrough"
PACKETS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/web-0/packets-per-second"
DEPTH = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/depth"
# A provider of both APIs, with the words that a test adds.
BOTH = """
from metrics_apiserver.adapter import Adapter
from metrics_apiserver.provider import (
    CustomMetricsProvider, ExternalMetricsProvider, ExternalMetricValue, Quantity, metric_value
)

class Both(CustomMetricsProvider, ExternalMetricsProvider):
    def get_metric_by_name(self, ctx, name, info, metric_selector):
        return metric_value(self.context, name, info, 1)

    def get_external_metric(self, ctx, namespace, metric_selector, info):
        return [ExternalMetricValue(info.metric, self.context.clock.now(), Quantity.of(2))]

adapter = Adapter("both")
"""


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    # Of its own: whatever serves on this machine already is in nobody's way.
    environ = {"PATH": "/usr/bin:/bin", "METRICS_APISERVER_SECURE_PORT": str(free_ports(1)[0])}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env=environ)


def program(folder: Path, text: str) -> tuple[str, ...]:
    """Write a program, and give the command that starts it."""
    file = folder / "program.py"
    file.write_text(BOTH + text, encoding="utf-8")
    return (sys.executable, str(file))


def values(server: LiveServer, path: str) -> list[str]:
    return [item["value"] for item in server.ask("GET", path, {}).json["items"]]


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: a-token}}]
"""


def test_configuration_for_clients_is_that_of_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what a provider reads of the cluster itself; without a cluster there is none."""
    adapter = Adapter("here")
    assert adapter.client_config() is None
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG, encoding="utf-8")
    monkeypatch.setenv("METRICS_APISERVER_KUBECONFIG", str(kubeconfig))
    configuration = adapter.client_config()
    assert (configuration.host, configuration.get_api_key_with_prefix("BearerToken")) == (
        "https://127.0.0.1:1",
        "Bearer a-token",
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param((), "starting adapter...", id="its default"),
        pytest.param(("--msg", "here we go"), "here we go", id="given on the command line"),
    ],
)
def test_walkthrough_as_a_program_says_its_message_and_serves(
    tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    """Its flag beside ours; SIGTERM ends it with 0 (which LiveServer holds it to)."""
    command = (sys.executable, str(EXAMPLE / "example_adapter.py"))
    with LiveServer(tmp_path, f"--objects={EXAMPLE / 'objects.yaml'}", *flags, command=command) as server:
        assert values(server, PACKETS) == ["100m"]
        assert values(server, PACKETS) == ["200m"]
    log = server.log()
    assert log.count(said) == 1
    assert "provider custom-metrics: custom-metrics of example-adapter" in log
    assert "standalone mode" in log


def test_help_shows_its_flags_and_ours(tmp_path: Path) -> None:
    """Each under its own heading."""
    result = run(str(EXAMPLE / "example_adapter.py"), "--help", folder=tmp_path)
    assert result.returncode == 0
    own, ours = result.stdout.split("flags of example-adapter:")[1].split("flags of the server:")
    assert "--msg" in own
    assert all(flag in ours for flag in ("--config", "--provider", "--secure-port", "--kubeconfig", "--v"))


def test_wrong_settings_stop_it_with_every_problem(tmp_path: Path) -> None:
    """As `metrics-apiserver serve` does."""
    flags = ("--secure-port=x", "--bind-address=0.0.0.0", "--objects=nowhere.yaml")
    result = run(str(EXAMPLE / "example_adapter.py"), *flags, folder=tmp_path)
    assert result.returncode == 1
    assert "the configuration has 3 problems:" in result.stderr
    assert all(words in result.stderr for words in ("--secure-port", "--bind-address", "--objects"))
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        pytest.param("adapter.run([])", 1, "both: this program has no provider: give it one", id="no provider"),
        pytest.param(
            "adapter.with_custom_metrics(lambda context: 3)\nadapter.run([])",
            1,
            "provider custom-metrics (custom-metrics, from both unknown) could not be started: TypeError: the factory "
            "gave an int, not an object of CustomMetricsProvider",
            id="a factory of something else",
        ),
        pytest.param(
            "def make(context):\n    raise ConnectionError('the backend said no')\n"
            "adapter.with_external_metrics(make)\nadapter.run([])",
            1,
            "provider external-metrics (external-metrics, from both unknown) could not be started: ConnectionError: ",
            id="a factory that fails",
        ),
        pytest.param(
            "adapter.with_custom_metrics(lambda context: Both(context, {}), name='sample')\nadapter.run([])",
            1,
            "a provider of the kind sample is there already; give this one another name",
            id="the name of an installed one",
        ),
    ],
)
def test_program_that_cannot_serve_says_why(tmp_path: Path, text: str, code: int, sentence: str) -> None:
    """One sentence, and no traceback."""
    result = run(*program(tmp_path, text)[1:], folder=tmp_path)
    assert result.returncode == code
    assert result.stderr.count(sentence) == 1
    assert "Traceback" not in result.stderr


def test_one_factory_for_both_apis_is_one_provider(tmp_path: Path) -> None:
    """And what it needs of the cluster is at hand in the factory."""
    text = (
        "def make(context):\n"
        "    context.logger.info('made, of %s in %s', context.mapper.mapping_for(PODS).kind, adapter.client_config())\n"
        "    return Both(context, {})\n"
        "from metrics_apiserver.provider import GroupResource\n"
        "PODS = GroupResource('pods')\n"
        "adapter.with_custom_metrics(make, name='both')\n"
        "adapter.with_external_metrics(make)\n"
        "adapter.run()\n"
    )
    with LiveServer(tmp_path, command=program(tmp_path, text)) as server:
        assert values(server, PACKETS) == ["1"]
        assert values(server, DEPTH) == ["2"]
    assert server.log().count("made, of Pod in None") == 1


def test_file_says_how_its_providers_are_asked(tmp_path: Path) -> None:
    """Its names are kinds like those that are installed, and stand beside them."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "providers:\n"
        "- {name: ours, kind: custom-metrics, match: {api: custom}, timeout: 1s}\n"
        "- {name: rest, kind: constant, options: {value: 5}}\n",
        encoding="utf-8",
    )
    text = "adapter.with_custom_metrics(lambda context: Both(context, {}))\nadapter.run()\n"
    with LiveServer(tmp_path, f"--config={config}", command=program(tmp_path, text)) as server:
        assert values(server, PACKETS) == ["1"]
        assert values(server, DEPTH) == ["5"]


SERVED = """
from metrics_apiserver.adapter import serve
from metrics_apiserver.provider.functions import Metrics

metrics = Metrics()

@metrics.external("depth")
def depth(ctx, namespace, name):
    return {"": 42, "queue=mail": 12}

"""


def test_functions_are_served_from_a_program(tmp_path: Path) -> None:
    """At the address; the command line is not read."""
    file = tmp_path / "functions.py"
    file.write_text(
        SERVED + "import os\nserve(metrics, '127.0.0.1:' + os.environ['METRICS_APISERVER_SECURE_PORT'])\n",
        encoding="utf-8",
    )
    with LiveServer(tmp_path, command=(sys.executable, str(file))) as server:
        assert values(server, DEPTH) == ["42"]
        assert values(server, f"{DEPTH}?labelSelector=queue%3Dmail") == ["12"]
    assert "provider metrics: metrics of " in server.log()


@pytest.mark.parametrize(
    ("call", "code", "sentence"),
    [
        pytest.param("serve(metrics, '0.0.0.0:6443', tls_min_version='1.3')", 1, "2 problems", id="wrong settings"),
        pytest.param("serve(metrics, colour='red')", 2, "--colour=red", id="no setting"),
        pytest.param("serve(metrics, '127.0.0.1')", 1, "--bind-address", id="an address without a port"),
    ],
)
def test_wrong_call_of_serve_says_why(tmp_path: Path, call: str, code: int, sentence: str) -> None:
    """The command line's own sentences."""
    file = tmp_path / "functions.py"
    file.write_text(SERVED + call + "\n", encoding="utf-8")
    result = run(str(file), folder=tmp_path)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr
    assert sentence in result.stderr


PAGE = [block.text for block in blocks(ROOT / "docs" / "adapter.md") if block.language == "python"]


def test_program_of_the_page_is_the_example() -> None:
    """What the reader copies is what is tested."""
    assert PAGE[0] == (EXAMPLE / "example_adapter.py").read_text(encoding="utf-8")


def test_functions_of_the_page_are_served(tmp_path: Path) -> None:
    """On another port."""
    file = tmp_path / "functions.py"
    port = "'127.0.0.1:' + __import__('os').environ['METRICS_APISERVER_SECURE_PORT']"
    file.write_text(PAGE[1].replace('"127.0.0.1:6443"', port), encoding="utf-8")
    with LiveServer(tmp_path, command=(sys.executable, str(file))) as server:
        assert values(server, f"{DEPTH.replace('depth', 'queue-depth')}?labelSelector=queue%3Dmail") == ["12"]
    assert '"level"' in server.log()
