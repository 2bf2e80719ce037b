"""The types of `meta/v1` that this server speaks: Status, discovery's lists, LabelSelector; and ObjectReference."""

from __future__ import annotations

from marshmallow import Schema, fields

from metrics_apiserver.schemas.fields import OptionalInteger, OptionalList, OptionalMapping, OptionalString

__all__ = [
    "APIGroupListSchema",
    "APIGroupSchema",
    "APIResourceListSchema",
    "LabelSelectorSchema",
    "ObjectReferenceSchema",
    "StatusSchema",
]


class _RequirementSchema(Schema):
    key = fields.String()
    operator = fields.String()
    values = OptionalList(fields.String())


class LabelSelectorSchema(Schema):
    """meta/v1 `LabelSelector`."""

    match_labels = OptionalMapping(keys=fields.String(), values=fields.String(), data_key="matchLabels")
    match_expressions = OptionalList(fields.Nested(_RequirementSchema), data_key="matchExpressions")


class ObjectReferenceSchema(Schema):
    """core/v1 `ObjectReference`, the fields that a described object has."""

    kind = OptionalString()
    namespace = OptionalString()
    name = OptionalString()
    api_version = OptionalString(data_key="apiVersion")


class StatusSchema(Schema):
    """meta/v1 `Status` of a failure."""

    kind = fields.Constant("Status")
    api_version = fields.Constant("v1", data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    status = fields.Constant("Failure")
    message = OptionalString()
    reason = OptionalString()
    # {} is written, as the apiserver does: only None is left out, by not being there.
    details = fields.Raw()
    code = OptionalInteger()


class _GroupVersionSchema(Schema):
    group_version = fields.String(data_key="groupVersion")
    version = fields.String()


class _NamedGroupSchema(Schema):
    name = fields.String()
    versions = fields.List(fields.Nested(_GroupVersionSchema))
    preferred_version = fields.Nested(_GroupVersionSchema, data_key="preferredVersion")


class APIGroupSchema(_NamedGroupSchema):
    """meta/v1 `APIGroup` as a document of its own."""

    kind = fields.Constant("APIGroup")
    api_version = fields.Constant("v1", data_key="apiVersion")


class APIGroupListSchema(Schema):
    """meta/v1 `APIGroupList`; it has no apiVersion for the sake of old clients (apimachinery `APIGroupList`)."""

    kind = fields.Constant("APIGroupList")
    groups = fields.List(fields.Nested(_NamedGroupSchema))


class _APIResourceSchema(Schema):
    name = fields.String()
    singular_name = fields.String(data_key="singularName")
    namespaced = fields.Boolean()
    kind = fields.String()
    verbs = fields.List(fields.String())


class APIResourceListSchema(Schema):
    """meta/v1 `APIResourceList`."""

    kind = fields.Constant("APIResourceList")
    api_version = fields.Constant("v1", data_key="apiVersion")
    group_version = fields.String(data_key="groupVersion")
    resources = fields.List(fields.Nested(_APIResourceSchema))
