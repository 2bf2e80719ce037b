"""`/openapi/v2` and `/openapi/v3`: small valid documents, made once, with an ETag."""

from __future__ import annotations

import hashlib
from email.utils import formatdate
from typing import Any

from flask import Blueprint, Response

from app.blueprints import responses
from app.discovery import Encoded
from app.errors import NotFoundError
from app.schemas.encoders import JSON, encode
from app.schemas.table import API_VERSIONS

__all__ = ["blueprint"]


def blueprint(version: str) -> Blueprint:
    """Make the routes of a server of this version."""
    routes = Blueprint("openapi", __name__, url_prefix="/openapi")
    info = {"title": "metrics-apiserver", "version": f"v{version}"}
    v2 = _encoded({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}})
    v3 = {
        f"apis/{row.group_version}": _encoded({"openapi": "3.0.0", "info": info, "paths": {}, "components": {}})
        for row in API_VERSIONS
    }
    index = _encoded(
        {
            "paths": {
                path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={document.etag.strip(chr(34))}"}
                for path, document in v3.items()
            }
        }
    )
    started = formatdate(usegmt=True)

    def answer(encoded: Encoded) -> Response:
        responses.negotiated()
        response = responses.conditional(encoded, JSON)
        response.headers["Last-Modified"] = started
        return response

    @routes.get("/v2")
    def get_v2() -> Response:
        return answer(v2)

    @routes.get("/v3")
    def get_v3_index() -> Response:
        return answer(index)

    @routes.get("/v3/<path:path>")
    def get_v3(path: str) -> Response:
        if path not in v3:
            raise NotFoundError.for_path()
        return answer(v3[path])

    return routes


def _encoded(document: dict[str, Any]) -> Encoded:
    body = encode(document)
    return Encoded(body, f'"{hashlib.sha256(body).hexdigest()}"')
