"""The policy of a metric: the first whose globs fit its name, else the instance's own."""

from __future__ import annotations

from collections.abc import Sequence

from metrics_apiserver.dispatch.globs import one_of
from metrics_apiserver.settings import MetricPolicySettings, PolicySettings

__all__ = ["Policies"]

# Clients choose the names: what was found is remembered for so many.
_REMEMBERED = 4096


class Policies:
    """Finds the policy of a metric; globs are matched once for each name."""

    def __init__(self, default: PolicySettings, metrics: Sequence[MetricPolicySettings]) -> None:
        self._default = default
        self._rows = [((one_of(row.metrics), one_of(row.metrics, any_case=True)), row.policy) for row in metrics]
        self._found: dict[tuple[str, bool], PolicySettings] = {}

    def find(self, metric: str, *, any_case: bool = False) -> PolicySettings:
        """Return the policy of a metric; with `any_case` its case does not count, as that of an external name."""
        if not self._rows:
            return self._default
        found = self._found.get((metric, any_case))
        if found is None:
            fitting = (policy for fits, policy in self._rows if fits[any_case](metric))
            found = next(fitting, self._default)
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[metric, any_case] = found
        return found
