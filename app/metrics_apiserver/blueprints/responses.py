"""The one place where a wire document becomes a response."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from metrics_apiserver.blueprints.negotiation import MediaType, negotiate, wants_pretty
from metrics_apiserver.discovery import Encoded
from metrics_apiserver.environ import TARGET
from metrics_apiserver.schemas.encoders import encode
from metrics_apiserver.target import Target

__all__ = ["EVERY_METHOD", "conditional", "document", "negotiated", "pretty", "target"]

# For the views that decide themselves: a path is looked at first, and only then its method refused.
EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# Characters of an If-None-Match field that are read.
_TAGS_LENGTH = 2048


def negotiated(*, aggregated: bool = False) -> MediaType:
    """Give the media type of this request's answer. Raises NotAcceptableError."""
    return negotiate(request.headers.get("Accept", ""), aggregated=aggregated)


def pretty() -> bool:
    """Whether this request's answer is indented."""
    # Nearly nobody asks for it: the query string need not be parsed for that.
    asked = request.args.get("pretty", "") if b"pretty" in request.query_string else ""
    return wants_pretty(asked, request.headers.get("User-Agent", ""))


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
