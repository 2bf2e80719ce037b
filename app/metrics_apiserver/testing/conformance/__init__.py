"""The conformance kit: what every provider keeps to. Derive a test class from these and say what your provider has.

Each check is one test, whose name is the rule and whose failure says what to change.
"""

from metrics_apiserver.testing.conformance.base import MakeProvider, ProviderConformance
from metrics_apiserver.testing.conformance.custom import CustomMetricsConformance
from metrics_apiserver.testing.conformance.external import ExternalMetricsConformance

__all__ = ["CustomMetricsConformance", "ExternalMetricsConformance", "MakeProvider", "ProviderConformance"]
