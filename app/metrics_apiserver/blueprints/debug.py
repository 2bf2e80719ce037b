"""`/debug`: why a read had no value, and why a check fails. Authorized like any other path."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response

from metrics_apiserver.answering.probes import Check, status_of
from metrics_apiserver.blueprints import responses
from metrics_apiserver.dispatch.recent import RecentReads

__all__ = ["blueprint"]


def blueprint(recent: RecentReads, checks: Mapping[str, Check]) -> Blueprint:
    """Make the routes. Of the reads that were empty, substituted or failed the newest comes first."""
    routes = Blueprint("debug", __name__)

    @routes.get("/debug/reads")
    def get_reads() -> Response:
        reads = [read.as_document() for read in recent.newest_first()]
        return responses.document({"reads": reads}, responses.negotiated())

    @routes.get("/debug/status")
    def get_status() -> Response:
        return responses.document({"checks": status_of(checks)}, responses.negotiated())

    return routes
