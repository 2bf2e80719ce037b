"""A plain request to the application, as serving hands it over."""

from __future__ import annotations

from collections.abc import Iterable

from metrics_apiserver.exchange import PlainRequest, Response
from metrics_apiserver.server import MetricsServer

__all__ = ["plain"]


def plain(
    server: MetricsServer,
    target: str,
    pairs: Iterable[tuple[str, str]] = (),
    certificate: bytes | None = None,
    *,
    may_wait: bool = False,
) -> Response | None:
    """Return what the server answers, on the loop unless it `may_wait`; None where it leaves that to others."""
    return server.respond(PlainRequest(target, tuple(pairs), certificate), may_wait=may_wait)
