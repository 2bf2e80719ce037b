"""A provider that hangs for ever, behind a real server: the other provider's reads go on."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.distributions import install_providers
from tests.live.server import LiveServer

API = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
PROVIDER = """
import threading
from metrics_apiserver.provider import ExternalMetricsProvider

class Hung(ExternalMetricsProvider):
    def get_external_metric(self, ctx, namespace, metric_selector, info):
        threading.Event().wait()
"""
CONFIG = """
providers:
  - {name: stuck, kind: hung, match: {metrics: [hung-*]}, timeout: 3s, concurrency: 4}
  - {name: values, kind: writable}
"""


def test_other_provider_answers_while_one_hangs(tmp_path: Path) -> None:
    """Forty reads at once of the one that hangs are answered 503 or 504, and none of them holds the other up."""
    install_providers(tmp_path, "hung-provider", "hung = hung_provider:Hung")
    (tmp_path / "hung_provider.py").write_text(PROVIDER, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    flag = f"--config={tmp_path / 'config.yaml'}"
    with LiveServer(tmp_path, flag, environ={"PYTHONPATH": str(tmp_path)}) as server, ThreadPoolExecutor(40) as pool:

        def read(metric: str) -> int:
            return server.ask("GET", f"{API}/{metric}", {}).status

        hung = [pool.submit(read, f"hung-{number % 8}") for number in range(40)]
        while not all(each.done() for each in hung):
            assert read("my-external-metric") == 200
        codes = Counter(each.result() for each in hung)
        assert set(codes) == {503, 504}
        assert codes[504] <= 24
        reads = server.ask("GET", "/debug/reads", {}).json["reads"]
        assert len(reads) == 40
        assert {(each["provider"], each["result"], each["reason"]) for each in reads} <= {
            ("stuck", "failed", "timeout"),
            ("stuck", "failed", "busy"),
            ("stuck", "failed", "down"),
        }
