"""The paths of a version: its discovery document and its reads, in the words of OpenAPI 2.0 or 3.0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apispec import APISpec
from marshmallow import Schema

from metrics_apiserver.apis.table import api_of
from metrics_apiserver.openapi.definitions import GROUP_VERSION_KIND
from metrics_apiserver.schemas.encoders import MEDIA_TYPES
from metrics_apiserver.schemas.meta_v1 import APIResourceListSchema, StatusSchema
from metrics_apiserver.schemas.table import APIVersion

__all__ = ["add_paths"]


_PARAMETERS = {
    "resource": "plural or singular name of a resource, with its group where it is not core: pods, deployments.apps",
    "name": "name of the object; * reads all that labelSelector selects",
    "namespace": "name of the namespace",
    "metric": "name of the metric",
    "labelSelector": "selects objects by their labels; of an external metric, its series",
    "metricLabelSelector": "selects a metric's series by their labels",
    "fieldSelector": "metadata.name=NAME, which must agree with the name in the path",
    "pretty": "true: the answer is indented",
}


def add_paths(spec: APISpec, row: APIVersion) -> None:
    """Add a version's paths. kube-apiserver keeps those below `/apis/GROUP/VERSION/`, with the last slash."""
    root = f"/apis/{row.group_version}"
    words = _Words(row, v2=spec.openapi_version.major == 2)
    resources = words.operation(f"get{words.title}APIResources", "get available resources", APIResourceListSchema)
    spec.path(f"{root}/", operations={"get": resources})
    for read in api_of(row.group).path_forms:
        operation = words.operation(f"list{words.title}{read.name}", read.description, row.list_schema)
        operation |= {
            "x-kubernetes-action": "list",
            GROUP_VERSION_KIND: {"group": row.group, "version": row.version, "kind": row.list_kind},
        }
        operation["parameters"] = [words.parameter(name, "query") for name in (*read.parameters, "pretty")]
        in_path = [words.parameter(name, "path") for name in _names(read.template)]
        spec.path(root + read.template, operations={"get": operation}, parameters=in_path)


@dataclass(frozen=True, slots=True)
class _Words:
    """Writes what the two versions of OpenAPI say differently."""

    row: APIVersion
    v2: bool

    @property
    def title(self) -> str:
        """CustomMetricsV1beta2, for the ids: each must be unique in the whole cluster's document."""
        return self._group + self.row.version.capitalize()

    @property
    def _group(self) -> str:
        return self.row.group.removesuffix(".k8s.io").title().replace(".", "")

    def operation(self, name: str, description: str, schema: Schema | type[Schema]) -> dict[str, Any]:
        """Describe a GET that answers with this type; what fails answers with a Status."""
        operation: dict[str, Any] = {
            "description": description,
            "operationId": name,
            "responses": {"200": self._answer("OK", schema), "default": self._answer("a failure", StatusSchema)},
            "tags": [f"{self._group[0].lower()}{self._group[1:]}_{self.row.version}"],
        }
        if self.v2:
            operation |= {"produces": list(MEDIA_TYPES), "schemes": ["https"]}
        return operation

    def parameter(self, name: str, where: str) -> dict[str, Any]:
        """Describe a parameter; all are strings."""
        typed: dict[str, Any] = {"type": "string"} if self.v2 else {"schema": {"type": "string"}}
        return {"name": name, "in": where, "description": _PARAMETERS[name], **typed}

    def _answer(self, description: str, schema: Schema | type[Schema]) -> dict[str, Any]:
        if self.v2:
            return {"description": description, "schema": schema}
        content = {media_type: {"schema": schema} for media_type in MEDIA_TYPES}
        return {"description": description, "content": content}


def _names(template: str) -> Iterator[str]:
    for segment in template.split("/"):
        if segment.startswith("{"):
            yield segment.strip("{}")
