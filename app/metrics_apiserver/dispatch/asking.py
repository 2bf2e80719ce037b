"""One read at one instance, on its way."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from metrics_apiserver.apis.api import Read
from metrics_apiserver.dispatch.subject import Subject
from metrics_apiserver.dispatch.trace import Trace
from metrics_apiserver.provider import RequestContext
from metrics_apiserver.settings import PolicySettings

__all__ = ["Asking"]


class Asking(NamedTuple):
    """A read with what this instance makes of it; `key` is what its answer is kept and shared under."""

    trace: Trace
    # As the provider writes the metric's name.
    read: Read
    context: RequestContext
    policy: PolicySettings
    # Also the user, where the provider answers each otherwise.
    key: Hashable

    @property
    def subject(self) -> Subject:
        """What it is judged and bounded together with."""
        return Subject.of(self.read)
