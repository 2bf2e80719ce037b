"""The API groups that this server owns, and those that its REST mapping must never ask."""

from __future__ import annotations

__all__ = ["CUSTOM_METRICS", "EXTERNAL_METRICS", "METRICS_GROUPS"]

CUSTOM_METRICS = "custom.metrics.k8s.io"
EXTERNAL_METRICS = "external.metrics.k8s.io"

# metrics-server lists `pods` and `nodes` too, and our own groups list every resource that has a metric: a name
# in a path never means one of those.
METRICS_GROUPS = frozenset({CUSTOM_METRICS, EXTERNAL_METRICS, "metrics.k8s.io"})
