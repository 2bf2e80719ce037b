"""external.metrics.k8s.io: metrics that belong to no object of the cluster."""

from __future__ import annotations

from flask import Blueprint

from metrics_apiserver.blueprints import metric_reads
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.model.groups import EXTERNAL_METRICS
from metrics_apiserver.query import parse_external_metric

__all__ = ["blueprint"]


def blueprint(router: Router, served: metric_reads.Served) -> Blueprint:
    """Make the routes of every version of the external metrics API."""
    read = router.read_external
    wants_user = lambda: router.wants_user  # noqa: E731 - a property, which a reload may change
    return metric_reads.blueprint("external_metrics", EXTERNAL_METRICS, parse_external_metric, read, served, wants_user)
