"""The command line: its flags become the environment in which gunicorn starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app import cli
from app.settings import Settings
from tests.conftest import environ


@pytest.fixture(name="started")
def _started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What the process would have become: the last environment of each start."""
    environments: list[dict[str, str]] = []

    def become(_program: str, _command: list[str], environment: dict[str, str]) -> None:
        environments.append({name: value for name, value in environment.items() if name.startswith("METRICS_")})

    monkeypatch.setattr(os, "execve", become)
    return environments


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], {}, id="without flags nothing is set"),
        pytest.param(["--secure-port=1", "-v", "4"], environ(secure_port="1", v="4"), id="with = and without"),
        pytest.param(["--provider=a", "--provider", "b"], environ(provider="a,b"), id="providers in their order"),
        pytest.param(
            ["--authentication-skip-lookup", "--v=4"],
            environ(authentication_skip_lookup="true", v="4"),
            id="a switch alone means true",
        ),
        pytest.param(
            ["--authentication-skip-lookup=false"], environ(authentication_skip_lookup="false"), id="a switch is off"
        ),
        pytest.param(["--api-audiences=a,b"], environ(api_audiences="a,b"), id="a list with commas"),
        pytest.param(["--api-audiences=a,b", "--api-audiences=c"], environ(api_audiences="a,b,c"), id="a list grows"),
        pytest.param(
            ["--authorization-always-allow-paths="], environ(authorization_always_allow_paths=""), id="an empty list"
        ),
    ],
)
def test_flags_become_variables(
    started: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: dict[str, str],
) -> None:
    """Only what was given is set, so that the environment and the file stay what they were."""
    for name in [name for name in os.environ if name.startswith("METRICS_APISERVER_")]:
        monkeypatch.delenv(name)
    cli.main(["serve", *arguments])
    assert started == [expected]


def test_what_the_flags_say_is_what_the_server_reads(started: list[dict[str, str]], tmp_path: Path) -> None:
    """The two halves, the command and the settings, fit together for lists and switches."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    flags = ("--provider=a", "--authentication-skip-lookup", "--requestheader-allowed-names=a", "--request-timeout=1m")
    cli.main(["serve", f"--kubeconfig={kubeconfig}", *flags])
    settings = Settings.from_environ(started[0])
    assert settings.authentication.authentication_skip_lookup
    assert settings.authentication.requestheader_allowed_names == ("a",)
    assert settings.serving.request_timeout == 60


def test_help_shows_defaults_as_one_would_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["serve", "--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "(default: /healthz,/livez,/readyz)" in text
    assert "(default: false)" in text
    assert "(default: )" not in text
