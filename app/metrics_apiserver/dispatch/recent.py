"""The last reads to which there was no answer of a provider's: what `GET /debug/reads` shows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

__all__ = ["RecentRead", "RecentReads", "shortened"]

_MOST = 200
# A selector may have thousands of characters, and none of these lines needs them.
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class RecentRead:
    """A read that was empty, substituted or failed; `result` says which, `reason` and `message` why."""

    time: datetime
    audit_id: str
    provider: str
    api: str
    namespace: str
    resource: str
    object: str
    metric: str
    selector: str
    result: str
    reason: str
    message: str

    def as_document(self) -> dict[str, str]:
        """Return what is shown."""
        fields = {
            "time": f"{self.time:%Y-%m-%dT%H:%M:%SZ}",
            "auditID": self.audit_id,
            "provider": self.provider,
            "api": self.api,
            "namespace": self.namespace,
            "resource": self.resource,
            "object": self.object,
            "metric": self.metric,
            "selector": self.selector,
            "result": self.result,
            "reason": self.reason,
            "message": self.message,
        }
        return {key: value for key, value in fields.items() if value}


class RecentReads:
    """Keeps the last two hundred."""

    def __init__(self) -> None:
        self._reads: deque[RecentRead] = deque(maxlen=_MOST)

    def add(self, read: RecentRead) -> None:
        """Keep one more, and forget the oldest."""
        self._reads.append(read)

    def newest_first(self) -> list[RecentRead]:
        """List them."""
        return list(reversed(self._reads.copy()))


def shortened(text: str) -> str:
    """Cut a text that is longer than a line needs."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
