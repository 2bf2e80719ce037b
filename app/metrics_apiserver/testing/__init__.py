"""For the tests of provider authors: fakes, a client that reads as the autoscaler does, and the conformance kit.

The pytest plugin is loaded with every pytest run where this distribution is installed. So this module imports nothing
before a name is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metrics_apiserver.testing.autoscaler import Autoscaler, AutoscalerError
    from metrics_apiserver.testing.conformance import (
        CustomMetricsConformance,
        ExternalMetricsConformance,
        MakeProvider,
        ProviderConformance,
    )
    from metrics_apiserver.testing.declared import CustomMetric, ExternalMetric
    from metrics_apiserver.testing.fakes import FakeClock, FakeCluster, provider_context, request_context
    from metrics_apiserver.testing.served import serve_provider

__all__ = [
    "Autoscaler",
    "AutoscalerError",
    "CustomMetric",
    "CustomMetricsConformance",
    "ExternalMetric",
    "ExternalMetricsConformance",
    "FakeClock",
    "FakeCluster",
    "MakeProvider",
    "ProviderConformance",
    "provider_context",
    "request_context",
    "serve_provider",
]

_MODULES = {
    "Autoscaler": "autoscaler",
    "AutoscalerError": "autoscaler",
    "CustomMetric": "declared",
    "CustomMetricsConformance": "conformance",
    "ExternalMetric": "declared",
    "ExternalMetricsConformance": "conformance",
    "FakeClock": "fakes",
    "FakeCluster": "fakes",
    "MakeProvider": "conformance",
    "ProviderConformance": "conformance",
    "provider_context": "fakes",
    "request_context": "fakes",
    "serve_provider": "served",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
