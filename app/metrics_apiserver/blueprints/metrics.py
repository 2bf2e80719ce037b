"""The routes of the metric APIs; every method is routed, and only GET of a path of the API is answered."""

from __future__ import annotations

from flask import Blueprint, Response

from metrics_apiserver.answering.respond import Respond
from metrics_apiserver.blueprints import responses

__all__ = ["blueprint"]


def blueprint(group: str, respond: Respond) -> Blueprint:
    """Make the routes of every version of an API group."""
    routes = Blueprint(group.replace(".", "_"), __name__, url_prefix=f"/apis/{group}")

    def view(version: str, path: str) -> Response:  # noqa: ARG001 - they only match; the target is read as a whole
        return responses.of(respond(responses.asking()))

    routes.add_url_rule("/<version>/<path:path>", view_func=view, endpoint="read", methods=responses.EVERY_METHOD)
    return routes
