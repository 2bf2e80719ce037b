"""Path and query string → a frozen query object; the grammar of the metric routes stands here and nowhere else.

The path comes as the decoded segments of `metrics_apiserver.target`, the query string as it came over the wire.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from metrics_apiserver.errors import BadRequestError, MethodNotAllowedError, NotFoundError
from metrics_apiserver.model import selectors
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo
from metrics_apiserver.model.resources import GroupResource, NamespacedName
from metrics_apiserver.model.selectors import LabelSelector, Selector, SelectorError

__all__ = [
    "CustomMetricQuery",
    "ExternalMetricQuery",
    "field_terms",
    "parse_custom_metric",
    "parse_external_metric",
    "parse_parameters",
    "unescaped_field",
    "wants_watch",
]

ANY_NAME = "*"
_NAMESPACES = GroupResource("namespaces")
# Bounds the work on one query string; the request line is bounded to 8 KiB before this.
_MAX_PARAMETERS = 1000


@dataclass(frozen=True, slots=True)
class CustomMetricQuery:
    """A read of a custom metric: by name, or by selector where `name` is None.

    `info.group_resource` is still as written in the path; dispatch normalises it.
    """

    info: CustomMetricInfo
    namespace: str
    name: str | None
    selector: Selector
    metric_selector: Selector
    # What the answer echoes; None without a metricLabelSelector.
    metric_label_selector: LabelSelector | None

    @property
    def object_name(self) -> NamespacedName:
        """The object that a by-name read asks for."""
        assert self.name is not None
        return NamespacedName(self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class ExternalMetricQuery:
    """A read of an external metric in a namespace (`*`: every namespace)."""

    info: ExternalMetricInfo
    namespace: str
    metric_selector: Selector


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
    """Whether the parameters ask for a watch: whatever is not a no (apimachinery `Convert_Slice_string_To_bool`)."""
    return "watch" in parameters and parameters["watch"].lower() not in ("false", "0")


def parse_custom_metric(segments: Sequence[str], parameters: Mapping[str, str]) -> CustomMetricQuery:
    """Read what follows `/apis/custom.metrics.k8s.io/VERSION/`.

    Raises NotFoundError for what is no path of the API, BadRequestError for a wrong selector.
    """
    match segments:
        case ("namespaces", namespace, "metrics", metric):
            info, namespace, name = CustomMetricInfo(_NAMESPACES, metric, namespaced=False), "", namespace
        case ("namespaces", namespace, resource, name, metric):
            info = CustomMetricInfo(GroupResource.parse(resource), metric, namespaced=True)
        case ("namespaces", _, _):
            # The reference reads this as a metric of a resource called "namespaces", and refuses it in these words.
            raise BadRequestError("invalid request path")
        case (resource, name, metric):
            info, namespace = CustomMetricInfo(GroupResource.parse(resource), metric, namespaced=False), ""
        case _:
            raise NotFoundError.for_path()
    _check_field_selector(parameters.get("fieldSelector", ""), name)
    metric_selector = _parse_selector(parameters.get("metricLabelSelector", ""))
    return CustomMetricQuery(
        info=info,
        namespace=namespace,
        name=None if name == ANY_NAME else name,
        selector=_parse_selector(parameters.get("labelSelector", "")),
        metric_selector=metric_selector,
        metric_label_selector=None if metric_selector.empty else _to_label_selector(metric_selector),
    )


def parse_external_metric(segments: Sequence[str], parameters: Mapping[str, str]) -> ExternalMetricQuery:
    """Read what follows `/apis/external.metrics.k8s.io/VERSION/`.

    Raises as `parse_custom_metric` does, and MethodNotAllowedError for a watch.
    """
    match segments:
        case ("namespaces", namespace, metric):
            if wants_watch(parameters):
                # It was judged as one, and there is none: a list is more.
                raise MethodNotAllowedError
            _check_field_selector(parameters.get("fieldSelector", ""), None)
            return ExternalMetricQuery(
                info=ExternalMetricInfo(metric),
                namespace=namespace,
                metric_selector=_parse_selector(parameters.get("labelSelector", "")),
            )
        case _:
            raise NotFoundError.for_path()


def _parse_selector(text: str) -> Selector:
    try:
        return selectors.parse(text)
    except SelectorError as error:
        raise BadRequestError(str(error)) from error


def _to_label_selector(selector: Selector) -> LabelSelector:
    try:
        return selector.to_label_selector()
    except SelectorError as error:
        raise BadRequestError(str(error)) from error


# The grammar of apimachinery's `fields.ParseSelector`: terms between commas, a backslash escapes.
_FIELD_TERMS = re.compile(r"(?:[^\\,]|\\.?)+", re.DOTALL)
_FIELD_TERM = re.compile(r"(.*?)(!=|==|=)(.*)\Z", re.DOTALL)
_FIELD_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_FIELDS = ("metadata.name", "metadata.namespace")


def field_terms(text: str) -> list[str]:
    """Cut a field selector into its terms, which nobody has looked into."""
    return _FIELD_TERMS.findall(text)


def unescaped_field(value: str) -> str:
    """Give the value that a term of a field selector means."""
    return _FIELD_ESCAPE.sub(r"\1", value)


def _check_field_selector(text: str, name: str | None) -> None:
    """Hold a fieldSelector against the name in the path, as the apiserver's read of a single object does.

    `name` None: there is none to agree with, and one to select by is refused. Access is granted by that name, as if
    what has another were left out (k8s.io/apiserver `RequestInfo`).
    """
    exact_names = []
    terms = field_terms(text)
    for term in terms:
        found = _FIELD_TERM.match(term)
        if found is None:
            raise BadRequestError(f"invalid selector: '{text}'; can't understand '{term}'")
        label, operator, value = found.groups()
        if label not in _FIELDS:
            known = ", ".join(f'"{known}"' for known in _FIELDS)
            raise BadRequestError(f'"{label}" is not a known field selector: only {known}')
        if label == "metadata.name" and operator != "!=":
            exact_names.append(unescaped_field(value))
    if name is None and exact_names:
        raise BadRequestError("an external metric has no metadata.name: select its series by labelSelector")
    if name is not None and terms and exact_names[:1] != [name]:
        raise BadRequestError("fieldSelector metadata.name doesn't match requested name")
