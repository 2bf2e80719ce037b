"""Every request is noted once, whichever front answered it: its metrics and its lines in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from metrics_apiserver.logs import (
    BODIES,
    DECISIONS,
    HEADERS,
    SHOWN,
    get_logger,
    hide_secrets,
    shown_body,
    shown_field,
    shown_headers,
    shown_method,
    shown_target,
)
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.telemetry import RequestMetrics

__all__ = ["Answered", "Observer"]

# Asked every few seconds, and never by a user.
_ROUTINE = ("livez", "readyz", "healthz", "metrics")
# Characters of the Accept field that a line shows.
_ACCEPT_LENGTH = 512


class Answered(NamedTuple):
    """A request that was answered, with what is noted of it; `target` is as it came, `seconds` what it took to make."""

    method: str
    path: str
    target: str
    code: int
    seconds: float
    size: int
    audit_id: str
    user: str
    accept: str
    content_type: str


class Observer:
    """Notes requests: counts them, and writes their lines in the log."""

    def __init__(self, metrics: RequestMetrics, clock: Clock) -> None:
        self.metrics = metrics
        self.monotonic = clock.monotonic
        self.log = get_logger("metrics_apiserver.requests")

    def note(self, answered: Answered) -> None:
        """Count and log a request."""
        self.metrics.observe(
            answered.method, answered.path, code=answered.code, seconds=answered.seconds, size=answered.size
        )
        level = DECISIONS if answered.path.strip("/").partition("/")[0] in _ROUTINE else logging.INFO
        if not self.log.enabled_for(level):
            return
        fields: dict[str, object] = {
            SHOWN: True,
            "audit_id": hide_secrets(answered.audit_id),
            "user": hide_secrets(answered.user),
            "verb": shown_method(answered.method),
            "path": shown_target(answered.target),
            "code": answered.code,
            "latency_ms": round(answered.seconds * 1000, 3),
            "size": answered.size,
        }
        if self.log.enabled_for(DECISIONS):
            accept = shown_field("accept", answered.accept[:_ACCEPT_LENGTH])
            fields |= {"accept": accept, "content_type": answered.content_type}
        self.log.log(level, "request", **fields)

    def shows_exchanges(self) -> bool:
        """Return whether header fields are logged, and so have to be handed in."""
        return self.log.enabled_for(HEADERS)

    def note_exchange(
        self,
        audit_id: str,
        *,
        asked: Iterable[tuple[str, str]],
        answered: Iterable[tuple[str, str]],
        bodies: tuple[bytes, bytes],
    ) -> None:
        """Log the header fields of a request and its answer, and the two bodies where these are wanted too."""
        log = self.log
        log.log(HEADERS, "request headers", audit_id=audit_id, headers=shown_headers(asked))
        log.log(HEADERS, "response headers", audit_id=audit_id, headers=shown_headers(answered))
        if log.enabled_for(BODIES):
            log.log(BODIES, "request body", audit_id=audit_id, body=shown_body(bodies[0]))
            log.log(BODIES, "response body", audit_id=audit_id, body=shown_body(bodies[1], ours=True))
