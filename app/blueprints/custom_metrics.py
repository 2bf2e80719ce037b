"""custom.metrics.k8s.io: metrics of pods, services and every other object."""

from __future__ import annotations

from flask import Blueprint

from app.blueprints import metric_reads
from app.dispatch.router import Router
from app.model.groups import CUSTOM_METRICS
from app.query import parse_custom_metric

__all__ = ["blueprint"]


def blueprint(router: Router) -> Blueprint:
    """Make the routes of every version of the custom metrics API."""
    return metric_reads.blueprint("custom_metrics", CUSTOM_METRICS, parse_custom_metric, router.read_custom)
