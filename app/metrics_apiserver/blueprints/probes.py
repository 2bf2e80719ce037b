"""The routes of `/healthz`, `/livez` and `/readyz`."""

from __future__ import annotations

from flask import Blueprint, Response

from metrics_apiserver.answering.asked import PROBES
from metrics_apiserver.answering.respond import Respond
from metrics_apiserver.blueprints import responses

__all__ = ["blueprint"]


def blueprint(respond: Respond) -> Blueprint:
    """Make the routes; whatever follows a probe's name is read as the name of a check."""
    routes = Blueprint("probes", __name__)

    def view(name: str = "") -> Response:  # noqa: ARG001 - only matches; the target is read as a whole
        return responses.of(respond(responses.asking()))

    for probe in PROBES:
        routes.add_url_rule(f"/{probe}", view_func=view, endpoint=probe)
        routes.add_url_rule(f"/{probe}/", view_func=view, endpoint=probe)
        routes.add_url_rule(f"/{probe}/<path:name>", view_func=view, endpoint=f"{probe}-check")
    return routes
