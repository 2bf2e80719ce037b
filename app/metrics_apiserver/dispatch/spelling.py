"""How a provider writes the names of its external metrics: the autoscaler asks for all of them in lower case.

The client of k8s.io/metrics lower-cases external names, and custom ones not. So an external name fits whatever its
case: exactly as it is listed, else the first that is listed and differs in case only, else as it was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from metrics_apiserver.apis.api import Read
from metrics_apiserver.apis.external import ExternalRead
from metrics_apiserver.model.metrics import ExternalMetricInfo

__all__ = ["Spellings"]


class Spellings:
    """The external names that one provider listed last; replaced as a whole."""

    def __init__(self, provider: str, logger: logging.Logger) -> None:
        self._provider = provider
        self._logger = logger
        self._listed: frozenset[str] = frozenset()
        self._by_lower: dict[str, str] = {}
        self._said: frozenset[str] = frozenset()

    def learn(self, infos: Iterable[object]) -> None:
        """Take the external names of a listing, and say which of them differ in case only."""
        names = sorted(info.metric for info in infos if isinstance(info, ExternalMetricInfo))
        by_lower: dict[str, str] = {}
        alike = set()
        for name in names:
            if by_lower.setdefault(name.lower(), name) != name:
                alike.add(name.lower())
        self._listed, self._by_lower = frozenset(names), by_lower
        for lower in sorted(alike - self._said):
            self._logger.warning(
                "provider %s lists external metrics that differ in case only: who writes %s otherwise gets %s",
                self._provider,
                lower,
                by_lower[lower],
            )
        self._said = frozenset(alike)

    def named(self, read: Read) -> Read:
        """Return the read with the name as the provider writes it."""
        if not isinstance(read, ExternalRead) or read.info.metric in self._listed:
            return read
        written = self._by_lower.get(read.info.metric.lower())
        return read if written is None else read._replace(info=ExternalMetricInfo(written))
