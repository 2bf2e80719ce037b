"""Discovery: `/`, `/apis`, the groups and the versions, from memory."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from metrics_apiserver.blueprints import responses
from metrics_apiserver.discovery import Documents
from metrics_apiserver.errors import NotFoundError
from metrics_apiserver.schemas.table import GROUPS, api_version

__all__ = ["blueprint"]


def blueprint(documents: Callable[[], Documents], paths: Callable[[], list[str]]) -> Blueprint:
    """Make the routes; `documents` gives the documents as of now, `paths` what `/` lists."""
    routes = Blueprint("groups", __name__)

    @routes.get("/")
    def root() -> Response:
        return responses.document({"paths": paths()}, responses.negotiated())

    @routes.get("/apis")
    @routes.get("/apis/")
    def group_list() -> Response:
        return _answer(documents(), "/apis", aggregated=True)

    @routes.get("/apis/<group>")
    @routes.get("/apis/<group>/")
    def group(group: str) -> Response:
        # Tried before the documents, so that no path of a client's choice becomes a key.
        if group not in GROUPS:
            raise NotFoundError.for_path()
        return _answer(documents(), f"/apis/{group}")

    @routes.get("/apis/<group>/<version>")
    @routes.get("/apis/<group>/<version>/")
    def resources(group: str, version: str) -> Response:
        if api_version(group, version) is None:
            raise NotFoundError.for_path()
        return _answer(documents(), f"/apis/{group}/{version}")

    return routes


def _answer(documents: Documents, path: str, *, aggregated: bool = False) -> Response:
    media_type = responses.negotiated(aggregated=aggregated)
    encoded = documents.encoded(
        path, aggregated=media_type.aggregated, media_type=media_type.name, pretty=responses.pretty()
    )
    return responses.conditional(encoded, media_type.content_type)
