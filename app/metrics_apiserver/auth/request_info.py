"""What a request is about, in the terms in which access is granted (k8s.io/apiserver `RequestInfo`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from metrics_apiserver.apis.parameters import parse_parameters, wants_watch
from metrics_apiserver.errors import NotFoundError
from metrics_apiserver.model import field_selectors, selectors
from metrics_apiserver.model.field_selectors import FieldSelectorError
from metrics_apiserver.model.selectors import SelectorError
from metrics_apiserver.target import Target

__all__ = ["RequestInfo", "request_info"]

_GROUPLESS, _GROUPED = "api", "apis"
_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# Verbs that a path may hold in front of the resource; the first kind has no subresources.
_PROXY, _WATCH = "proxy", "watch"
_NAMESPACES = "namespaces"
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


# A tuple: made for every request, and part of the key under which its decision is cached.
class RequestInfo(NamedTuple):
    """A request for a resource, or else for a path; what does not apply is empty.

    Resources are as written in the path (`deployments.apps`), the selectors as written in the query.
    """

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    label_selector: str = ""
    field_selector: str = ""
    # Whether the path names something else than what the routes would read from it: to be judged, but not served.
    misleading: bool = False


def request_info(method: str, target: Target) -> RequestInfo:
    """Return what a request is about.

    Raises NotFoundError for a path that says how but not what (`…/watch`), and BadRequestError for a query string that
    cannot be read, where it matters.
    """
    segments, path = target.segments, target.path
    if not segments:
        return RequestInfo(method.lower(), path)
    if segments[0] == _GROUPED and len(segments) > 3:
        group, version, parts = segments[1], segments[2], segments[3:]
    elif segments[0] == _GROUPLESS and len(segments) > 2:
        group, version, parts = "", segments[1], segments[2:]
    else:
        return RequestInfo(method.lower(), path)
    verb, special = _VERBS.get(method, ""), parts[0] in (_PROXY, _WATCH)
    if special:
        verb, parts = parts[0], parts[1:]
        if not parts:
            raise NotFoundError.for_path()
    return _resource_info(verb, target, group, version, parts, special=special)


def _resource_info(
    verb: str, target: Target, group: str, version: str, parts: tuple[str, ...], *, special: bool
) -> RequestInfo:
    namespace, misleading = "", special
    if parts[0] == _NAMESPACES and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2:
            if parts[2] in _NAMESPACE_SUBRESOURCES:
                # The metric routes know no such thing: to them it is a resource, or a metric, of that name.
                misleading = True
            else:
                parts = parts[2:]
    resource, name = parts[0], parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 and verb != _PROXY else ""
    labels = fields = ""
    if not name and verb in ("get", "delete"):
        parameters = parse_parameters(target.query)
        if verb == "get":
            verb, name = _collection_read(parameters)
        else:
            verb = "deletecollection"
        labels, fields = parameters.get("labelSelector", ""), parameters.get("fieldSelector", "")
    return RequestInfo(
        verb,
        target.path,
        is_resource=True,
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
        label_selector=labels,
        field_selector=fields,
        misleading=misleading,
    )


def _collection_read(parameters: Mapping[str, str]) -> tuple[str, str]:
    """Tell `list` from `watch`, and give the one name that a field selector leaves."""
    return _WATCH if wants_watch(parameters) else "list", _exact_name(parameters)


# As Go's `strconv.ParseInt` reads them: the reference decodes the parameters together or not at all.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")


def _exact_name(parameters: Mapping[str, str]) -> str:
    """Return the name that `metadata.name=X` requires, where X can be one; the rest may say what it likes."""
    text = parameters.get("fieldSelector", "")
    if not text or not _decodes(parameters):
        return ""
    try:
        terms = field_selectors.parse(text)
    except FieldSelectorError:
        return ""
    exact = next((term.value for term in terms if term.field == "metadata.name" and term.exact), "")
    # What apimachinery's `path.IsValidPathSegmentName` takes for a name.
    return "" if exact in (".", "..") or "/" in exact or "%" in exact else exact


def _decodes(parameters: Mapping[str, str]) -> bool:
    """Return whether the other parameters of a list can be read."""
    numbers = (parameters[name] for name in ("limit", "timeoutSeconds") if name in parameters)
    if not all(_INTEGER.match(number) for number in numbers):
        return False
    try:
        selectors.parse(parameters.get("labelSelector", ""))
    except SelectorError:
        return False
    return True
