"""What every answer carries, whichever way it is made."""

from __future__ import annotations

import re
import uuid

__all__ = ["COMMON_HEADERS", "audit_id_of"]

# As k8s.io/apiserver sends them; every answer also has its Audit-Id.
COMMON_HEADERS = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"}

# Any client may choose the id: it is logged, and so it must look like one.
_AUDIT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def audit_id_of(given: str) -> str:
    """Give a request's audit id: the client's if it is well formed, else a new one."""
    return given if _AUDIT_ID.match(given) else str(uuid.uuid4())
