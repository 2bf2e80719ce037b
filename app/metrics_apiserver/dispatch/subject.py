"""What of a provider is judged and bounded together: one metric of one namespace."""

from __future__ import annotations

from typing import NamedTuple, Self

from metrics_apiserver.apis.api import Read, namespace_part

__all__ = ["Subject"]


class Subject(NamedTuple):
    """One metric; `namespace` is "" or "*" where it is of no single one, `resource` is "" for an external metric."""

    namespace: str
    metric: str
    resource: str = ""

    @classmethod
    def of(cls, read: Read) -> Self:
        """Return what a read is about."""
        return cls(read.namespace, read.info.metric, "" if read.resource is None else str(read.resource))

    def __str__(self) -> str:
        of = f" of {self.resource}" if self.resource else ""
        return f"{self.metric}{of}{namespace_part(self.namespace)}"
