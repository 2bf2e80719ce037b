"""The policy of a metric: the first whose globs fit its name, else the instance's own."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from metrics_apiserver.settings import MetricPolicySettings, PolicySettings

__all__ = ["Policies"]

# Clients choose the names: what was found is remembered for so many.
_REMEMBERED = 4096


class Policies:
    """Finds the policy of a metric; globs are matched once for each name."""

    def __init__(self, default: PolicySettings, metrics: Sequence[MetricPolicySettings]) -> None:
        self._default = default
        self._rows = [(re.compile("|".join(map(fnmatch.translate, row.metrics))), row.policy) for row in metrics]
        self._found: dict[str, PolicySettings] = {}

    def find(self, metric: str) -> PolicySettings:
        """Return the policy of a metric."""
        if not self._rows:
            return self._default
        found = self._found.get(metric)
        if found is None:
            found = next((policy for globs, policy in self._rows if globs.match(metric)), self._default)
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[metric] = found
        return found
