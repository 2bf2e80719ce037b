"""The query string of a request: its parameters, and the selectors among them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from metrics_apiserver.errors import BadRequestError
from metrics_apiserver.model import field_selectors, selectors
from metrics_apiserver.model.field_selectors import FieldSelectorError
from metrics_apiserver.model.selectors import LabelSelector, Selector, SelectorError

__all__ = [
    "check_field_selector",
    "parse_parameters",
    "parse_selector",
    "to_label_selector",
    "wants_watch",
]

# Bounds the work on one query string; the request line is bounded to 8 KiB before this.
_MAX_PARAMETERS = 1000


def parse_parameters(query_string: str) -> dict[str, str]:
    """Read a query string; of a repeated parameter the first counts. Raises BadRequestError."""
    parameters: dict[str, str] = {}
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeDecodeError as error:
        raise BadRequestError("the query string is not UTF-8") from error
    except ValueError as error:
        raise BadRequestError(f"the query string has more than {_MAX_PARAMETERS} parameters") from error
    for name, value in pairs:
        parameters.setdefault(name, value)
    return parameters


def wants_watch(parameters: Mapping[str, str]) -> bool:
    """Return whether a watch is asked for: all but a no does (apimachinery `Convert_Slice_string_To_bool`)."""
    return "watch" in parameters and parameters["watch"].lower() not in ("false", "0")


def parse_selector(text: str) -> Selector:
    """Read a label selector. Raises BadRequestError."""
    try:
        return selectors.parse(text)
    except SelectorError as error:
        raise BadRequestError(str(error)) from error


def to_label_selector(selector: Selector) -> LabelSelector:
    """Return a selector as an answer echoes it. Raises BadRequestError."""
    try:
        return selector.to_label_selector()
    except SelectorError as error:
        raise BadRequestError(str(error)) from error


_FIELDS = ("metadata.name", "metadata.namespace")


def check_field_selector(text: str, name: str | None) -> None:
    """Hold a fieldSelector against the name in the path, as the apiserver's read of a single object does.

    `name` is None where the path names no object: then none can be selected by name. Access is granted by the field
    selector's name (k8s.io/apiserver `RequestInfo`), which has to be the one that is read. Raises BadRequestError.
    """
    try:
        terms = field_selectors.parse(text)
    except FieldSelectorError as error:
        raise BadRequestError(str(error)) from error
    for term in terms:
        if term.field not in _FIELDS:
            known = ", ".join(f'"{known}"' for known in _FIELDS)
            raise BadRequestError(f'"{term.field}" is not a known field selector: only {known}')
    exact_names = [term.value for term in terms if term.field == "metadata.name" and term.exact]
    if name is None and exact_names:
        raise BadRequestError("an external metric has no metadata.name: select its series by labelSelector")
    if name is not None and terms and exact_names[:1] != [name]:
        raise BadRequestError("fieldSelector metadata.name doesn't match requested name")
