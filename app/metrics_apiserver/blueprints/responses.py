"""Where Flask's requests become ours, and answers and documents become Flask's responses."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request

from metrics_apiserver import exchange
from metrics_apiserver.answering.negotiation import MediaType, negotiate
from metrics_apiserver.answering.request import Request
from metrics_apiserver.discovery import Encoded
from metrics_apiserver.environ import HEADER_PAIRS, JUDGEMENT, PEER_CERTIFICATE, TARGET
from metrics_apiserver.exchange import audit_id_of
from metrics_apiserver.schemas.encoders import encode
from metrics_apiserver.target import Target

__all__ = ["EVERY_METHOD", "asking", "conditional", "document", "negotiated", "of", "target"]

# For the views that decide themselves: a path is looked at first, and only then its method refused.
EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# Characters of an If-None-Match field that are read.
_TAGS_LENGTH = 2048


def asking() -> Request:
    """Return the request under way, as an answer is made from it."""
    environ = request.environ
    if "audit_id" not in g:
        g.audit_id = audit_id_of(environ.get("HTTP_AUDIT_ID", ""))
    return Request(
        method=request.method,
        target=environ["RAW_URI"],
        accept=environ.get("HTTP_ACCEPT", ""),
        user_agent=environ.get("HTTP_USER_AGENT", ""),
        audit_id=g.audit_id,
        pairs=environ.get(HEADER_PAIRS, ()),
        certificate=environ.get(PEER_CERTIFICATE),
        judgement=environ.get(JUDGEMENT),
    )


def of(answer: exchange.Response) -> Response:
    """Return an answer as Flask has it."""
    response = Response(answer.body, status=answer.code, content_type=answer.content_type)
    response.headers.update(answer.fields)
    return response


def negotiated(*, aggregated: bool = False) -> MediaType:
    """Return the media type of this request's answer. Raises NotAcceptableError."""
    return negotiate(request.headers.get("Accept", ""), aggregated=aggregated)


def pretty() -> bool:
    """Return whether this request's answer is indented."""
    return asking().pretty


def document(content: Any, media_type: MediaType, *, status: int = 200) -> Response:
    """Write a document as the answer."""
    body = encode(content, media_type=media_type.name, pretty=pretty())
    return Response(body, status=status, content_type=media_type.content_type)


def conditional(encoded: Encoded, content_type: str) -> Response:
    """Answer with a document that has an ETag, or with 304 where the client has it already."""
    # A longer field counts as none: no client of ours has as many versions of a document.
    short = len(request.headers.get("If-None-Match", "")) <= _TAGS_LENGTH
    if short and request.if_none_match.contains_weak(encoded.etag.strip('"')):
        response = Response(status=304, content_type=content_type)
    else:
        response = Response(encoded.body, content_type=content_type)
    response.headers["ETag"] = encoded.etag
    response.headers["Vary"] = "Accept"
    return response


def target() -> Target:
    """Return this request's target; one that cannot be read was refused before any view runs (see failures)."""
    found: Target = request.environ[TARGET]
    return found
