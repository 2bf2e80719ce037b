"""`apidiscovery.k8s.io`: aggregated discovery, in the one shape that v2 and v2beta1 share."""

from __future__ import annotations

from marshmallow import Schema, fields

from metrics_apiserver.schemas.fields import OptionalList

__all__ = ["AGGREGATED_VERSIONS", "APIGroupDiscoveryListSchema"]

# Best first: what a client that accepts both is given.
AGGREGATED_VERSIONS = ("v2", "v2beta1")


class _GroupVersionKindSchema(Schema):
    group = fields.String()
    version = fields.String()
    kind = fields.String()


class _SubresourceSchema(Schema):
    name = fields.String(data_key="subresource")
    response_kind = fields.Nested(_GroupVersionKindSchema, data_key="responseKind")
    verbs = fields.List(fields.String())


class _ResourceSchema(Schema):
    name = fields.String(data_key="resource")
    # A parent that only carries subresources has none: the key is not there.
    response_kind = fields.Nested(_GroupVersionKindSchema, data_key="responseKind")
    scope = fields.String()
    singular_name = fields.String(data_key="singularResource")
    verbs = fields.List(fields.String())
    subresources = OptionalList(fields.Nested(_SubresourceSchema))


class _VersionSchema(Schema):
    version = fields.String()
    resources = fields.List(fields.Nested(_ResourceSchema))
    freshness = fields.Constant("Current")


class _ObjectMetaSchema(Schema):
    name = fields.String()


class _GroupSchema(Schema):
    metadata = fields.Nested(_ObjectMetaSchema)
    versions = fields.List(fields.Nested(_VersionSchema))


class APIGroupDiscoveryListSchema(Schema):
    """apidiscovery.k8s.io `APIGroupDiscoveryList`; `api_version` says which version."""

    kind = fields.Constant("APIGroupDiscoveryList")
    api_version = fields.String(data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    items = fields.List(fields.Nested(_GroupSchema))
