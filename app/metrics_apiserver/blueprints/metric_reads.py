"""What the two metric APIs share: every method is routed, and only GET of a path of the API is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from flask import Blueprint, Response, request

from metrics_apiserver.auth.user import User
from metrics_apiserver.blueprints import responses
from metrics_apiserver.blueprints.failures import audit_id
from metrics_apiserver.blueprints.large_answers import Turns
from metrics_apiserver.environ import USER_INFO
from metrics_apiserver.errors import MethodNotAllowedError, NotFoundError
from metrics_apiserver.provider import UserInfo
from metrics_apiserver.query import parse_parameters
from metrics_apiserver.schemas.table import api_version

__all__ = ["Served", "blueprint"]

Served = Callable[[Sequence[Any]], None]

# An answer with more items waits for its turn, of both APIs together.
_LARGE = 5000
turns = Turns()
# `/apis/GROUP/VERSION` come before what the query grammar reads.
_PREFIX_SEGMENTS = 3


def blueprint(
    name: str,
    group: str,
    parse: Callable[[Sequence[str], Mapping[str, str]], Any],
    read: Callable[..., Sequence[Any]],
    served: Served,
    wants_user: Callable[[], bool],
) -> Blueprint:
    """Make the blueprint of a metric API: `parse` reads the query, `read` answers it, `served` is told the answer.

    `wants_user` says whether an answer may depend on who asks.
    """
    routes = Blueprint(name, __name__, url_prefix=f"/apis/{group}")

    def view(version: str, path: str) -> Response:  # noqa: ARG001 - `path` only matches; the target's segments are read
        row = api_version(group, version)
        if row is None:
            raise NotFoundError.for_path()
        media_type = responses.negotiated()
        target = responses.target()
        query = parse(target.segments[_PREFIX_SEGMENTS:], parse_parameters(target.query))
        if request.method != "GET":
            raise MethodNotAllowedError
        values = read(query, audit_id=audit_id(), user=_user() if wants_user() else None)
        served(values)
        with turns.turn() if len(values) > _LARGE else nullcontext():
            return responses.document(row.dump_list(values), media_type)

    routes.add_url_rule("/<version>/<path:path>", view_func=view, endpoint="read", methods=responses.EVERY_METHOD)
    return routes


def _user() -> UserInfo | None:
    """Say who asks, in the words of the contract; None where nobody was recognised."""
    user: User | None = request.environ.get(USER_INFO)
    return None if user is None else UserInfo(user.name, user.uid, user.groups, dict(user.extra))
