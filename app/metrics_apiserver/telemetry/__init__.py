"""What this server tells about itself: Prometheus metrics on a registry that is handed in.

What a client chooses (paths, names, methods) is never the value of a label: every label has a fixed set of values.
Nothing here knows HTTP beyond a method, a path and a code.
"""

from metrics_apiserver.telemetry.followed import FollowedMetrics
from metrics_apiserver.telemetry.freshness import Freshness
from metrics_apiserver.telemetry.providers import ProviderFigures, ProviderLoad, ProviderMetrics
from metrics_apiserver.telemetry.requests import InFlight, RequestMetrics
from metrics_apiserver.telemetry.telemetry import Telemetry

__all__ = [
    "FollowedMetrics",
    "Freshness",
    "InFlight",
    "ProviderFigures",
    "ProviderLoad",
    "ProviderMetrics",
    "RequestMetrics",
    "Telemetry",
]
