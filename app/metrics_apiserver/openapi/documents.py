"""All OpenAPI documents, as bytes: v2 of everything, v3 of each version, and the index of the latter."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.openapi.definitions import add_definitions, new_spec
from metrics_apiserver.openapi.paths import add_paths
from metrics_apiserver.schemas.encoders import encode
from metrics_apiserver.schemas.table import API_VERSIONS, APIVersion

__all__ = ["OpenAPIDocuments", "digest"]

_TITLE = "metrics-apiserver"


@dataclass(frozen=True, slots=True)
class OpenAPIDocuments:
    """The documents; the same bytes in every replica of one version of the server."""

    v2: bytes
    v3: Mapping[str, bytes]
    """By `apis/GROUP/VERSION`. Nothing else: kube-apiserver adds our index to its own, and ours would win."""
    index: bytes

    @classmethod
    def of(cls, version: str, rows: Sequence[APIVersion] = API_VERSIONS) -> OpenAPIDocuments:
        """Build the documents of a server of this version that serves these API versions."""
        v3 = {f"apis/{row.group_version}": _encoded("3.0.0", version, [row]) for row in rows}
        links = {path: f"/openapi/v3/{path}?hash={digest(body)}" for path, body in v3.items()}
        index = {"paths": {path: {"serverRelativeURL": link} for path, link in links.items()}}
        return cls(v2=_encoded("2.0", version, rows), v3=v3, index=encode(index))


def digest(body: bytes) -> str:
    """Identify a document: its ETag without the quotes, and the hash of its link."""
    return hashlib.sha256(body).hexdigest()


def _encoded(openapi_version: str, version: str, rows: Sequence[APIVersion]) -> bytes:
    spec = new_spec(openapi_version, _TITLE, f"v{version}")
    for row in rows:
        add_definitions(spec, row)
        add_paths(spec, row)
    document: dict[str, Any] = spec.to_dict()
    return encode(document)
