"""A provider behind the real server, in this process: routes, dispatch and wire format included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from metrics_apiserver import registry
from metrics_apiserver.factory import create_app
from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.provider import Options, Provider, ProviderContext
from metrics_apiserver.registry import OfferedProvider
from metrics_apiserver.settings import ProviderSettings, Settings
from metrics_apiserver.testing.autoscaler import Autoscaler
from metrics_apiserver.testing.fakes import FakeCluster

__all__ = ["serve_provider"]

_numbers = count(1)


@contextmanager
def serve_provider(
    make: Callable[[ProviderContext, Mapping[str, Any]], Provider],
    options: Mapping[str, Any] | None = None,
    *objects: str | Mapping[str, Any],
    cluster: StandaloneCluster | None = None,
    clock: Clock | None = None,
    **how: Any,
) -> Iterator[Autoscaler]:
    """Serve a provider, and read it as the autoscaler does. A context manager, which stops the server.

    `make` is the provider's class, or a function of the same two arguments (then without options). `objects` are those
    of the cluster (see FakeCluster); `how` is what the configuration can say of an instance beside its options, as the
    fields of `metrics_apiserver.settings.ProviderSettings`. Raises ProviderError, as the server's start does.
    """
    kind = f"tested-{next(_numbers)}"
    schema = getattr(make, "Options", Options)
    offered = OfferedProvider(kind, make, schema, distribution=make.__module__, version="under test")
    registry.offer(offered)
    try:
        settings = ProviderSettings(name=kind, kind=kind, options=dict(options or {}), **how)
        server = create_app(Settings(providers=(settings,)), clock=clock, cluster=cluster or FakeCluster(*objects))
        server.start()
        try:
            yield Autoscaler(server)
        finally:
            server.stop()
    finally:
        registry.withdraw(kind)
