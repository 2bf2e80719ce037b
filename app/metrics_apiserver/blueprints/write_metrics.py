"""`/write-metrics`: writes values to the first provider that takes them, in the paths of upstream's test adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NoReturn

from flask import Blueprint, Response, request

from metrics_apiserver.apis.custom import CUSTOM_METRICS_API
from metrics_apiserver.apis.parameters import parse_parameters
from metrics_apiserver.blueprints import responses
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.errors import BadRequestError, MethodNotAllowedError
from metrics_apiserver.model.metrics import ExternalMetricInfo
from metrics_apiserver.model.quantity import Quantity, QuantityError
from metrics_apiserver.model.selectors import SelectorError, parse_labels

__all__ = ["blueprint"]


def blueprint(router: Router, written: Callable[[], None]) -> Blueprint:
    """Make the routes; `written` is told after each change, so that discovery can follow."""
    routes = Blueprint("write_metrics", __name__, url_prefix="/write-metrics")

    def view(path: str) -> Response:  # noqa: ARG001 - `path` only matches; the target's segments are read
        target = responses.target()
        segments = target.segments[1:]
        labels = _labels(parse_parameters(target.query).get("labels", ""))
        match segments:
            case ("external", "namespaces", namespace, metric):
                _write_external(router, namespace, metric, labels)
            case _:
                _write_custom(router, segments, labels)
        written()
        # Flask would call it a web page.
        return Response(status=200, content_type="text/plain; charset=utf-8")

    routes.add_url_rule("/<path:path>", view_func=view, endpoint="write", methods=responses.EVERY_METHOD)
    return routes


def _write_custom(router: Router, segments: tuple[str, ...], labels: dict[str, str]) -> None:
    query = CUSTOM_METRICS_API.parse(segments, {})
    audit_id = responses.asking().audit_id
    if query.name is None or query.namespace == "*":
        raise BadRequestError('a value is written for one object: "*" is not a name here')
    match request.method:
        case "POST":
            router.write_custom(query.object_name, query.info, labels, _body(), audit_id=audit_id)
        case "DELETE":
            router.delete_custom(query.object_name, query.info, audit_id=audit_id)
        case _:
            raise MethodNotAllowedError


def _write_external(router: Router, namespace: str, metric: str, labels: dict[str, str]) -> None:
    info, audit_id = ExternalMetricInfo(metric), responses.asking().audit_id
    match request.method:
        case "POST":
            router.write_external(namespace, info, labels, _body(), audit_id=audit_id)
        case "DELETE":
            router.delete_external(namespace, info, labels, audit_id=audit_id)
        case _:
            raise MethodNotAllowedError


def _labels(text: str) -> dict[str, str]:
    try:
        return parse_labels(text)
    except SelectorError as error:
        raise BadRequestError(str(error)) from error


def _body() -> Quantity:
    """Read the body, whatever its content type: a JSON string, or a number by its literal text."""
    body = request.get_data()
    if request.content_length is not None and len(body) < request.content_length:
        # The client went away: the half of a number is another number.
        raise BadRequestError(f"the body ends after {len(body)} of {request.content_length} bytes")
    try:
        text = json.loads(body, parse_int=str, parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f'the body is not a JSON string or number, such as "300m" or 3.25: {error}') from error
    if not isinstance(text, str):
        raise BadRequestError('the body is JSON, but not a string or number: send one such as "300m" or 3.25')
    try:
        return Quantity.parse(text)
    except QuantityError as error:
        raise BadRequestError(str(error)) from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a quantity")
