"""custom.metrics.k8s.io: metrics of pods, services and every other object."""

from __future__ import annotations

from flask import Blueprint

from metrics_apiserver.blueprints import metric_reads
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.model.groups import CUSTOM_METRICS
from metrics_apiserver.query import parse_custom_metric

__all__ = ["blueprint"]


def blueprint(router: Router, served: metric_reads.Served) -> Blueprint:
    """Make the routes of every version of the custom metrics API."""
    read = router.read_custom
    wants_user = lambda: router.wants_user  # noqa: E731 - a property, which a reload may change
    return metric_reads.blueprint("custom_metrics", CUSTOM_METRICS, parse_custom_metric, read, served, wants_user)
