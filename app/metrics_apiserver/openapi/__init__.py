"""The OpenAPI documents, made with apispec from the marshmallow schemas and the table of versions.

Metric names are no part of them: they describe the versions, which stand still. No HTTP belongs here, and no
description of a type: that is its schema's docstring.
"""

from metrics_apiserver.openapi.documents import OpenAPIDocuments

__all__ = ["OpenAPIDocuments"]
