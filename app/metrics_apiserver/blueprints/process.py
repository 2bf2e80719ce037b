"""`/version` and `/metrics`: what this process is, and its figures."""

from __future__ import annotations

import platform

from flask import Blueprint, Response

from metrics_apiserver.blueprints import responses
from metrics_apiserver.telemetry import Telemetry

__all__ = ["blueprint"]


def blueprint(version: str, telemetry: Telemetry) -> Blueprint:
    """Make the routes of a server of this version."""
    routes = Blueprint("process", __name__)
    major, minor, *_ = version.split(".")
    # The fields of version.Info; Kubernetes' tools look for these names.
    info = {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{version}",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }

    @routes.get("/version")
    @routes.get("/version/")
    def get_version() -> Response:
        return responses.document(info, responses.negotiated())

    @routes.get("/metrics")
    def get_metrics() -> Response:
        return Response(telemetry.render(), content_type=telemetry.content_type)

    return routes
