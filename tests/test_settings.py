"""The settings: three sources, one order, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import ProviderSettings, Settings, SettingsError, settings_table
from tests.conftest import environ


def write(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def problems_of(variables: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(variables)
    return list(caught.value.problems)


def test_embedded_default_is_standalone_with_the_writable_provider() -> None:
    """Nothing set: loopback, no cluster, the bundled objects and values."""
    settings = Settings.from_environ({})
    assert settings.cluster.standalone
    assert settings.cluster.objects.endswith("objects.yaml")
    assert (settings.serving.bind_address, settings.serving.secure_port) == ("127.0.0.1", 6443)
    (provider,) = settings.providers
    assert (provider.name, provider.kind) == ("writable", "writable")
    assert provider.options["values"]


def test_own_objects_come_without_the_bundled_values(tmp_path: Path) -> None:
    """The bundled values belong to the bundled objects."""
    objects = tmp_path / "objects.yaml"
    objects.write_text("", encoding="utf-8")
    settings = Settings.from_environ(environ(objects=str(objects)))
    assert settings.providers == (ProviderSettings(name="writable", kind="writable"),)


@pytest.mark.parametrize(
    ("variable", "in_file", "expected"),
    [
        pytest.param("7000", "securePort: 8000", 7000, id="the environment, and so a flag, wins over the file"),
        pytest.param(None, "securePort: 8000", 8000, id="the file wins over the default"),
        pytest.param(None, "v: 4", 6443, id="without either the default stays"),
    ],
)
def test_precedence(tmp_path: Path, variable: str | None, in_file: str, expected: int) -> None:
    """Flag and environment, then file, then default."""
    variables = environ(config=write(tmp_path, in_file))
    if variable is not None:
        variables["METRICS_APISERVER_SECURE_PORT"] = variable
    assert Settings.from_environ(variables).serving.secure_port == expected


def test_providers_of_the_file_keep_their_order_and_options(tmp_path: Path) -> None:
    """The list is the order in which providers are asked."""
    path = write(
        tmp_path,
        "providers:\n- {name: b, kind: writable}\n- {name: a, kind: writable, options: {values: []}}\n",
    )
    assert Settings.from_environ(environ(config=path)).providers == (
        ProviderSettings("b", "writable", {}),
        ProviderSettings("a", "writable", {"values": []}),
    )


def test_provider_flags_replace_the_list_of_the_file(tmp_path: Path) -> None:
    """`--provider NAME` is short for {name: NAME, kind: NAME}."""
    path = write(tmp_path, "providers:\n- {name: b, kind: writable}\n")
    settings = Settings.from_environ(environ(config=path, provider="one,two"))
    assert [(provider.name, provider.kind) for provider in settings.providers] == [("one", "one"), ("two", "two")]


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        pytest.param(
            environ(secure_port="abc"),
            "--secure-port (METRICS_APISERVER_SECURE_PORT)=abc: Not a valid integer.",
            id="a port that is no number",
        ),
        pytest.param(
            environ(secure_port="70000"), "Must be greater than or equal to 1", id="a port that does not exist"
        ),
        pytest.param(environ(bind_address="0.0.0.0"), "loopback only", id="every address"),  # noqa: S104 - refused
        pytest.param(environ(bind_address="10.0.0.7"), "loopback only", id="an address of the network"),
        pytest.param(environ(bind_address="example.com"), "loopback only", id="a name that is not localhost"),
        pytest.param(environ(tls_min_version="VersionTLS10"), "Must be one of: VersionTLS12", id="an old TLS version"),
        pytest.param(environ(tls_cert_file="/nowhere/x"), "belong together", id="a certificate without its key"),
        pytest.param(environ(kubeconfig="/nowhere/x"), "there is no such file", id="a kubeconfig that is not there"),
        pytest.param(environ(objects="/nowhere/x"), "there is no such file", id="an objects file that is not there"),
        pytest.param(environ(config="/nowhere/x"), "No such file", id="a config file that is not there"),
        pytest.param(environ(secure_prot="1"), "METRICS_APISERVER_SECURE_PROT: there is no such setting", id="a typo"),
        pytest.param(environ(provider=""), "no provider is configured", id="no provider at all"),
        pytest.param(environ(provider="a,a"), "the name a is given twice", id="one name for two instances"),
        pytest.param(environ(v="high"), "-v (METRICS_APISERVER_V)=high", id="verbosity that is no number"),
        pytest.param({"WEB_CONCURRENCY": "2"}, "WEB_CONCURRENCY=2: more than one worker", id="two workers"),
    ],
)
def test_problem(variables: dict[str, str], problem: str) -> None:
    """Each problem is a sentence that names the setting."""
    assert problem in "\n".join(problems_of(variables))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("securePort: [1]", "securePort in FILE=[1]: Not a valid integer.", id="a list for a number"),
        pytest.param("secureProt: 1", "secureProt in FILE: there is no such setting", id="a typo"),
        pytest.param("- a", "a mapping of settings is expected", id="a list"),
        pytest.param("a: [", "not YAML", id="no YAML"),
        pytest.param("providers: {a: b}", "providers in FILE", id="providers that are no list"),
        pytest.param("providers: [{kind: x}]", "0.name: Missing data", id="a provider without a name"),
        pytest.param("providers: [{name: x, kind: x, typo: 1}]", "0.typo: Unknown field.", id="a typo in a provider"),
    ],
)
def test_problem_in_the_file(tmp_path: Path, text: str, problem: str) -> None:
    """What is wrong in the file is told with the file's name."""
    path = write(tmp_path, text)
    assert problem.replace("FILE", path) in "\n".join(problems_of(environ(config=path)))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Nobody has to start the server once per mistake."""
    variables = environ(config=write(tmp_path, "discoveryLimit: none\ntypo: 1"), secure_port="x", bind_address="::")
    assert len(problems_of(variables)) == 4


def test_names_in_the_three_places() -> None:
    """The flag, the variable and the key of a setting follow from its name."""
    row = {setting.name: setting for setting in settings_table()}["tls_min_version"]
    assert (row.flag, row.variable, row.key) == (
        "--tls-min-version",
        "METRICS_APISERVER_TLS_MIN_VERSION",
        "tlsMinVersion",
    )
