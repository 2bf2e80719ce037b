"""marshmallow schemas → definitions, named and marked as the Kubernetes API does."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from metrics_apiserver.schemas.fields import (
    OptionalInteger,
    OptionalList,
    OptionalMapping,
    OptionalString,
    QuantityField,
    Time,
)
from metrics_apiserver.schemas.table import APIVersion

__all__ = ["GROUP_VERSION_KIND", "add_definitions", "definition_name", "new_spec"]

GROUP_VERSION_KIND = "x-kubernetes-group-version-kind"
# The types of meta/v1 and core/v1 are under this name too, not under the cluster's own. kube-apiserver merges all
# /openapi/v2 into one: of two definitions that have one name and differ in a word it renames one, and then all that
# refer to it (LabelSelector_v2, _v3, …).
_PREFIX = "io.k8s.metrics.pkg.apis"
# Fields that are a type of their own, which others refer to.
_NAMED_FIELDS: dict[type[fields.Field[Any]], tuple[str, dict[str, str]]] = {
    Time: (f"{_PREFIX}.meta.v1.Time", {"type": "string", "format": "date-time"}),
    QuantityField: (f"{_PREFIX}.meta.v1.Quantity", {"type": "string"}),
}
# Raw is what differs from answer to answer.
_MAY_BE_MISSING = (OptionalInteger, OptionalList, OptionalMapping, OptionalString, fields.Constant, fields.Raw)


def new_spec(openapi_version: str, title: str, version: str) -> APISpec:
    """Make an empty specification that knows our schemas."""
    return APISpec(title=title, version=version, openapi_version=openapi_version, plugins=[_Plugin(definition_name)])


def definition_name(schema: Schema | type[Schema]) -> str:
    """Name a schema after its module: MetricValueSchema of custom_metrics_v1beta2 as upstream's Go type."""
    declared = type(schema) if isinstance(schema, Schema) else schema
    package, _, version = declared.__module__.rpartition(".")[2].rpartition("_")
    return f"{_PREFIX}.{package}.{version}.{declared.__name__.strip('_').removesuffix('Schema')}"


def add_definitions(spec: APISpec, row: APIVersion) -> None:
    """Define a version's list and its item; what they refer to comes along."""
    items = row.list_schema.fields["items"]
    assert isinstance(items, fields.List)
    assert isinstance(items.inner, fields.Nested)
    # The item first: apispec defines what it meets by itself, and then without the kind.
    for kind, schema in ((row.list_kind.removesuffix("List"), items.inner.schema), (row.list_kind, row.list_schema)):
        marks = {GROUP_VERSION_KIND: [{"group": row.group, "version": row.version, "kind": kind}]}
        spec.components.schema(definition_name(schema), marks, schema=schema)


class _Converter(OpenAPIConverter):
    """apispec's conversion, seen from the reader: our schemas write answers, while apispec thinks of requests."""

    def init_attribute_functions(self) -> None:
        super().init_attribute_functions()  # type: ignore[no-untyped-call]  # apispec types it in part
        # The last word on a property.
        self.attribute_functions.append(self._kubernetes_type)

    def schema2jsonschema(self, schema: Schema) -> dict[str, Any]:
        """Convert a schema; `required` is what is always written, as upstream marks it."""
        definition: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]  # as above
        # A later version may add fields: clients must not refuse them.
        definition.pop("additionalProperties", None)
        if type(schema).__doc__:
            definition["description"] = _first_line(type(schema))
        for name, written in definition["properties"].items():
            definition["properties"][name] = self._with_reference(written)
        required = [field.data_key or name for name, field in schema.fields.items() if _always_written(field)]
        if required:
            definition["required"] = sorted(required)
        return definition

    def _with_reference(self, written: dict[str, Any]) -> dict[str, Any]:
        """Put a reference beside the rest as each version has it.

        3.0 ignores what stands beside a reference; kubectl reads 2.0 in that form only.
        """
        rest = dict(written)
        if "$ref" in rest:
            parts = [{"$ref": rest.pop("$ref")}]
        elif "allOf" in rest:
            parts = rest.pop("allOf")
        else:
            return written
        if self.openapi_version.major == 2 or not rest:
            return {**parts[0], **rest}
        return {"allOf": parts, **rest}

    def _kubernetes_type(self, field: fields.Field[Any], ret: dict[str, Any], **_: Any) -> dict[str, Any]:
        for declared, (name, definition) in _NAMED_FIELDS.items():
            if isinstance(field, declared):
                return self._reference(name, {**definition, "description": _first_line(declared)})
        if isinstance(field, fields.Constant):
            ret.pop("default", None)
            constant = field.constant
            return {"type": "string", "enum": [constant]} if isinstance(constant, str) else {"type": "object"}
        if isinstance(field, fields.Integer):
            return {"format": "int64"}
        if isinstance(field, OptionalMapping):
            # Every map of the Kubernetes API that is spoken here.
            return {"additionalProperties": {"type": "string"}}
        return {}

    def _reference(self, name: str, definition: dict[str, Any]) -> dict[str, Any]:
        components = self.spec.components
        if name not in components.schemas:
            components.schema(name, definition)
        reference: dict[str, Any] = components.get_ref("schema", name)
        return reference


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


def _always_written(field: fields.Field[Any]) -> bool:
    return not isinstance(field, _MAY_BE_MISSING) and not field.allow_none


def _first_line(declared: type) -> str:
    return (declared.__doc__ or "").partition("\n")[0]
