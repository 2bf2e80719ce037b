"""`/debug/reads`: the last reads that were empty, substituted or failed, and why. Authorized like any other path."""

from __future__ import annotations

from flask import Blueprint, Response

from app.blueprints import responses
from app.dispatch.recent import RecentReads

__all__ = ["blueprint"]


def blueprint(recent: RecentReads) -> Blueprint:
    """Make the route; the newest read comes first."""
    routes = Blueprint("debug", __name__)

    @routes.get("/debug/reads")
    def get_reads() -> Response:
        reads = [read.as_document() for read in recent.newest_first()]
        return responses.document({"reads": reads}, responses.negotiated())

    return routes
