"""The proxy, and a shadow of it, pass the kit that any provider's own tests can run; a real server stands behind."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from metrics_apiserver.testing import (
    CustomMetric,
    CustomMetricsConformance,
    ExternalMetric,
    ExternalMetricsConformance,
    MakeProvider,
)
from metrics_apiserver_providers.proxy import ProxyProvider
from metrics_apiserver_providers.shadow import ShadowProvider
from tests.live.server import LiveServer

CUSTOM = CustomMetric("packets", labels={"verb": "GET"})
EXTERNAL = ExternalMetric("queue", series=({"queue": "orders"}, {"queue": "mail"}))


def values() -> list[dict[str, Any]]:
    """What the server behind has."""
    described = {"resource": CUSTOM.resource, "namespace": CUSTOM.namespace, "labels": CUSTOM.labels}
    custom = [{"metric": CUSTOM.metric, "value": 1, "name": name, **described} for name in CUSTOM.objects]
    return custom + [{"metric": EXTERNAL.metric, "value": 2, "labels": labels} for labels in EXTERNAL.series]


@pytest.fixture(name="options", scope="module")
def _options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The options of a proxy to a server that has the kit's objects and metrics."""
    folder = tmp_path_factory.mktemp("behind")
    # JSON is YAML.
    objects = [*CUSTOM.manifests(), *CUSTOM.others(["conformance-beside"], "beside")]
    (folder / "objects.yaml").write_text("\n---\n".join(json.dumps(each) for each in objects))
    provider = {"name": "values", "kind": "writable", "options": {"values": values()}}
    (folder / "config.yaml").write_text(json.dumps({"providers": [provider]}))
    with LiveServer(folder, "--objects=objects.yaml", "--config=config.yaml") as server:
        yield {"url": f"https://localhost:{server.port}", "caFile": str(server.ca_file)}


class _Kit(CustomMetricsConformance, ExternalMetricsConformance):
    custom_metric = CUSTOM
    external_metric = EXTERNAL


@pytest.fixture(name="silent")
def _silent(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of a proxy to a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield {**options, "url": f"https://localhost:{listener.getsockname()[1]}"}


class TestProxy(_Kit):
    """A proxy alone."""

    @pytest.fixture
    def make_provider(self, options: dict[str, Any]) -> MakeProvider:
        return _proxy(options)

    @pytest.fixture
    def make_hanging_provider(self, silent: dict[str, Any]) -> MakeProvider:
        return _proxy(silent)


class TestShadow(_Kit):
    """The proxy serves, and a constant is compared with it."""

    @pytest.fixture
    def make_provider(self, options: dict[str, Any]) -> MakeProvider:
        return _shadow(options)

    @pytest.fixture
    def make_hanging_provider(self, silent: dict[str, Any]) -> MakeProvider:
        return _shadow(silent)


def _proxy(options: dict[str, Any]) -> MakeProvider:
    return lambda context: ProxyProvider(context, ProxyProvider.Options().load(options))


def _shadow(options: dict[str, Any]) -> MakeProvider:
    parts = {"first": {"kind": "proxy", "options": options}, "second": {"kind": "constant"}}
    return lambda context: ShadowProvider(context, ShadowProvider.Options().load(parts))
