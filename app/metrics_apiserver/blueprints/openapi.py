"""`/openapi/v2`, `/openapi/v3` and what it links, made once and from memory afterwards, with an ETag."""

from __future__ import annotations

from email.utils import formatdate

from flask import Blueprint, Response, request
from werkzeug.http import parse_options_header

from metrics_apiserver.answering.negotiation import accepted
from metrics_apiserver.blueprints import responses
from metrics_apiserver.discovery import Encoded
from metrics_apiserver.errors import NotAcceptableError, NotFoundError
from metrics_apiserver.openapi import OpenAPIDocuments
from metrics_apiserver.openapi.documents import digest
from metrics_apiserver.schemas.encoders import JSON

__all__ = ["blueprint"]

_JSON_NAMES = {JSON, "application/*", "*/*"}


def blueprint(version: str) -> Blueprint:
    """Make the routes of a server of this version."""
    routes = Blueprint("openapi", __name__, url_prefix="/openapi")
    documents = OpenAPIDocuments.of(version)
    v2, index = _encoded(documents.v2), _encoded(documents.index)
    v3 = {path: _encoded(body) for path, body in documents.v3.items()}
    made = formatdate(usegmt=True)

    def answer(encoded: Encoded) -> Response:
        _check_accept(request.headers.get("Accept", ""))
        response = responses.conditional(encoded, JSON)
        response.headers["Last-Modified"] = made
        return response

    @routes.get("/v2")
    def get_v2() -> Response:
        return answer(v2)

    @routes.get("/v3")
    def get_v3_index() -> Response:
        return answer(index)

    @routes.get("/v3/<path:path>")
    def get_v3(path: str) -> Response:
        # `?hash=` of a document that is no more gets the one that is. The reference redirects, which kube-apiserver
        # turns into a 502 (--aggregator-reject-forwarding-redirect); and nobody keeps it, as it may not be cached.
        if path not in v3:
            raise NotFoundError.for_path()
        return answer(v3[path])

    return routes


def _encoded(body: bytes) -> Encoded:
    return Encoded(body, f'"{digest(body)}"')


def _check_accept(accept: str) -> None:
    """Refuse a client that reads no JSON: no other form is here, as upstream's protobuf. Raises NotAcceptableError."""
    names = {parse_options_header(clause)[0] for clause in accepted(accept, (JSON,))}
    if accept.strip() and not names & _JSON_NAMES:
        raise NotAcceptableError((JSON,))
