"""Which policy a metric has."""

from __future__ import annotations

import pytest

from metrics_apiserver.dispatch import policies
from metrics_apiserver.dispatch.policies import Policies
from metrics_apiserver.settings import MetricPolicySettings, PolicySettings

OWN, SLOW, ANY = PolicySettings(timeout=1), PolicySettings(timeout=5), PolicySettings(timeout=9)
ROWS = (MetricPolicySettings(("slow-*", "queue-[0-9]"), SLOW), MetricPolicySettings(("*-depth",), ANY))


@pytest.mark.parametrize(
    ("metric", "policy"),
    [
        pytest.param("rps", OWN, id="no row fits"),
        pytest.param("slow-rps", SLOW, id="the first row"),
        pytest.param("queue-7", SLOW, id="another glob of the first row"),
        pytest.param("queue-depth", ANY, id="the second row"),
        pytest.param("slow-depth", SLOW, id="both: the first counts"),
        pytest.param("Slow-rps", OWN, id="case counts"),
        pytest.param("a slow-rps", OWN, id="the whole name has to fit"),
    ],
)
def test_first_row_that_fits_counts(metric: str, policy: PolicySettings) -> None:
    """Asked twice: the second time from memory."""
    found = Policies(OWN, ROWS)
    assert (found.find(metric), found.find(metric)) == (policy, policy)


def test_names_that_clients_choose_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is forgotten again."""
    monkeypatch.setattr(policies, "_REMEMBERED", 10)
    found = Policies(OWN, ROWS)
    assert all(found.find(f"slow-{number}") is SLOW for number in range(100))
    assert len(found._found) <= 10


def test_external_names_have_no_case() -> None:
    found = Policies(OWN, ROWS)
    assert [found.find(metric, any_case=True) for metric in ("Slow-rps", "QUEUE-7", "rps")] == [SLOW, SLOW, OWN]
    assert [found.find(metric) for metric in ("Slow-rps", "QUEUE-7", "rps")] == [OWN, OWN, OWN]
