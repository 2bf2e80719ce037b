"""The header fields that every answer carries."""

from __future__ import annotations

import re
import uuid

from metrics_apiserver.exchange import Fields

__all__ = ["audit_id_of", "common_fields"]

# As k8s.io/apiserver sends them.
_COMMON = (("Cache-Control", "no-cache, private"), ("X-Content-Type-Options", "nosniff"))

# Any client may choose the id: it is logged, and so it must look like one.
_AUDIT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def audit_id_of(given: str) -> str:
    """Return a request's audit id: the client's if it is well formed, else a new one."""
    return given if _AUDIT_ID.match(given) else str(uuid.uuid4())


def common_fields(audit_id: str) -> Fields:
    """Return what every answer carries, its audit id among it."""
    return (("Audit-Id", audit_id), *_COMMON)
