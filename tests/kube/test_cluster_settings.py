"""The settings of the cluster: durations, rates, and the lister's own kubeconfig."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.configuration import settings_from
from metrics_apiserver.settings import SettingsError
from metrics_apiserver.settings.durations import Duration
from tests.conftest import environ


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2m0.5s", 120.5), ("1500ms", 1.5), ("24h", 86400)],
)
def test_a_duration_is_written_as_in_go(text: str, seconds: float) -> None:
    assert settings_from(environ(discovery_interval=text)).cluster.discovery_interval == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "0", "m", "-10m", "10 m", "10M", "10m ", "1d", "1e3s", "٣s", "1h30", "10m\n"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="Not a duration: write it as 30s, 10m or 1h30m"):
        settings_from(environ(discovery_interval=text))


@pytest.mark.parametrize("text", ["0s", "999ms", "8761h", "9" * 400 + "h"])
def test_an_interval_has_bounds(text: str) -> None:
    with pytest.raises(SettingsError, match="Must be at least 1s and at most 8760h"):
        settings_from(environ(discovery_interval=text))


@pytest.mark.parametrize(
    ("seconds", "text"), [(600, "10m"), (5400, "1h30m"), (0.25, "250ms"), (3661.5, "1h1m1.5s"), (0, "0s")]
)
def test_a_duration_is_shown_as_it_is_written(seconds: float, text: str) -> None:
    assert str(Duration(seconds)) == text
    assert text == "0s" or Duration.parse(text) == seconds


def test_a_number_in_the_file_is_no_duration(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("discoveryInterval: 600")
    with pytest.raises(SettingsError, match=r"config.yaml:1: discoveryInterval=600: Not a duration"):
        settings_from(environ(config=str(path)))


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        pytest.param(environ(client_qps="0"), "--client-qps", id="no requests at all"),
        pytest.param(environ(client_qps="nan"), "--client-qps", id="no number"),
        pytest.param(environ(client_qps="inf"), "--client-qps", id="without a bound"),
        pytest.param(environ(client_burst="0"), "--client-burst", id="no burst"),
        pytest.param(environ(lister_kubeconfig="/nowhere/x"), "there is no such file", id="no such kubeconfig"),
        pytest.param(
            environ(lister_kubeconfig=__file__), "there is no cluster; name it with --kubeconfig", id="no cluster"
        ),
    ],
)
def test_what_cannot_be_is_refused(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings_from(variables)


def test_the_defaults() -> None:
    cluster = settings_from({}).cluster
    assert (cluster.discovery_interval, cluster.client_qps, cluster.client_burst) == (600, 20, 40)
