"""The settings: three sources, one order, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics_apiserver.configuration import load, settings_from
from metrics_apiserver.serving.certificates import load_certificate
from metrics_apiserver.settings import (
    AuthenticationSettings,
    AuthorizationSettings,
    ProviderSettings,
    Setting,
    SettingsError,
    settings_table,
)
from metrics_apiserver.settings.sections import rows_of
from tests.conftest import environ


def write(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def problems_of(variables: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_from(variables)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(name="kubeconfig")
def _kubeconfig(tmp_path: Path) -> str:
    """A file that can be read: the settings look no further."""
    path = tmp_path / "kubeconfig"
    path.touch()
    return str(path)


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "/x\0/y", "\ud800", "\n", "9" * 5000, "1" * 400 + "s", "1e9999", "::1", "nan", "a" * 70_000]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**399) + 1, 10**399),
    st.floats(),
    st.dates(),
    st.binary(max_size=5),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3), max_leaves=5
)
ENTRY_KEYS = [
    *("name", "kind", "options", "match", "onNotFound", "timeout", "cache", "maxAge", "onEmpty", "onError"),
    *("concurrency", "breaker", "metrics"),
]


@settings(max_examples=80, deadline=None)
@given(key=st.sampled_from([row.key for row in settings_table()] + ["providers", "x"]), value=VALUES)
def test_whatever_a_file_says_of_a_setting_gives_sentences(key: str, value: object) -> None:
    """And no exception: neither here, nor where they are written."""
    loads(yaml.safe_dump({key: value}))


@settings(max_examples=50, deadline=None)
@given(key=st.sampled_from(ENTRY_KEYS), value=VALUES)
def test_whatever_a_file_says_of_a_provider_gives_sentences(key: str, value: object) -> None:
    loads(yaml.safe_dump({"providers": [{"name": "a", "kind": "writable", key: value}]}))


@settings(max_examples=50, deadline=None)
@given(row=st.sampled_from(settings_table()), value=TEXTS)
def test_whatever_a_variable_says_gives_sentences(row: Setting, value: str) -> None:
    for problem in load({row.variable: value})[1]:
        assert str(problem).encode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("maxConnections: 0x" + "F" * 5000, id="a number that is too long to be written"),
        pytest.param('clientCaFile: "/x\\0y"', id="a NUL in a path"),
        pytest.param('metrics: ["a.py", "/x\\0y.py"]', id="a NUL in one of several paths"),
        pytest.param('bindAddress: "::1\\0"', id="a NUL in an address"),
        pytest.param('tlsCertFile: "/\\ud800"', id="a path that has no encoding"),
    ],
)
def test_what_the_system_would_not_take_is_a_problem(text: str) -> None:
    """With its line, and once."""
    problems = [problem for problem in loads(text) if problem.startswith("/config.yaml:1:")]
    assert len(problems) == 1
    assert len(problems[0]) < 400


def loads(text: str) -> list[str]:
    """Load a file, all of it and the certificate, and give the problems, which can be written."""
    loaded, found = load(environ(config="/config.yaml"), text.encode("utf-8", "surrogatepass"))
    problems = [str(problem) for problem in (*found, *load_certificate(loaded, make=False)[1])]
    assert [problem for problem in problems if not problem.encode() or "\n" in problem] == []
    return problems


def test_embedded_default_is_standalone_with_the_writable_provider() -> None:
    """Nothing set: loopback, no cluster, the bundled objects and values."""
    settings = settings_from({})
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
    settings = settings_from(environ(objects=str(objects)))
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
    assert settings_from(variables).serving.secure_port == expected


def test_providers_of_the_file_keep_their_order_and_options(tmp_path: Path) -> None:
    """The list is the order in which providers are asked."""
    path = write(
        tmp_path,
        "providers:\n- {name: b, kind: writable}\n- {name: a, kind: writable, options: {values: []}}\n",
    )
    assert settings_from(environ(config=path)).providers == (
        ProviderSettings("b", "writable", {}),
        ProviderSettings("a", "writable", {"values": []}),
    )


def test_provider_flags_replace_the_list_of_the_file(tmp_path: Path) -> None:
    """`--provider NAME` is short for {name: NAME, kind: NAME}."""
    path = write(tmp_path, "providers:\n- {name: b, kind: writable}\n")
    settings = settings_from(environ(config=path, provider="one,two"))
    assert [(provider.name, provider.kind) for provider in settings.providers] == [("one", "one"), ("two", "two")]


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        pytest.param(
            environ(secure_port="abc"),
            "--secure-port (METRICS_APISERVER_SECURE_PORT)=abc: Not a valid integer.",
            id="a port that is not a number",
        ),
        pytest.param(
            environ(secure_port="70000"), "Must be greater than or equal to 1", id="a port that does not exist"
        ),
        pytest.param(
            environ(bind_address="0.0.0.0"),  # noqa: S104 - refused
            "--bind-address=0.0.0.0: without a cluster nobody authorizes requests",
            id="every address",
        ),
        pytest.param(environ(bind_address="10.0.0.7"), "loopback only", id="an address of the network"),
        pytest.param(environ(bind_address="example.com"), "loopback only", id="a name that is not localhost"),
        pytest.param(environ(tls_min_version="VersionTLS10"), "Must be one of: VersionTLS12", id="an old TLS version"),
        pytest.param(environ(tls_cert_file="/nowhere/x"), "belong together", id="a certificate without its key"),
        pytest.param(environ(kubeconfig="/nowhere/x"), "there is no such file", id="a kubeconfig that is not there"),
        pytest.param(environ(objects="/nowhere/x"), "there is no such file", id="an objects file that is not there"),
        pytest.param(environ(client_ca_file="/nowhere/x"), "there is no such file", id="a CA file that is not there"),
        pytest.param(
            environ(requestheader_client_ca_file="/nowhere/x"),
            "--requestheader-client-ca-file=/nowhere/x: there is no such file",
            id="a front proxy's CA file that is not there",
        ),
        pytest.param(
            environ(authentication_kubeconfig="/nowhere/x"), "there is no such file", id="authentication's kubeconfig"
        ),
        pytest.param(
            environ(authorization_kubeconfig="/nowhere/x"), "there is no such file", id="authorization's kubeconfig"
        ),
        pytest.param(environ(max_connections="0"), "Must be greater than or equal to 1", id="no connections"),
        pytest.param(environ(max_connections="100001"), "less than or equal to 100000", id="too many connections"),
        pytest.param(environ(request_timeout="999ms"), "Must be at least 1s", id="a request has no time"),
        pytest.param(environ(shutdown_delay_duration="-1s"), "Not a duration", id="a delay below zero"),
        pytest.param(environ(authentication_skip_lookup="1"), "Must be true or false.", id="a switch that is a number"),
        pytest.param(environ(config="/nowhere/x"), "No such file", id="a config file that is not there"),
        pytest.param(
            environ(secure_prot="1"),
            "METRICS_APISERVER_SECURE_PROT: there is no such setting; did you mean METRICS_APISERVER_SECURE_PORT?",
            id="a typo",
        ),
        pytest.param(environ(x="1"), "METRICS_APISERVER_X: there is no such setting", id="a setting of nobody"),
        pytest.param(environ(server_port="1"), "METRICS_APISERVER_SERVER_PORT: there is no", id="a port of no Service"),
        pytest.param(environ(provider=""), "no provider is configured", id="no provider at all"),
        pytest.param(environ(provider="a,a"), "the name a is given twice", id="one name for two instances"),
        pytest.param(environ(v="high"), "-v (METRICS_APISERVER_V)=high", id="verbosity that is not a number"),
        pytest.param({"WEB_CONCURRENCY": "2"}, "WEB_CONCURRENCY=2: more than one worker", id="two workers"),
    ],
)
def test_problem(variables: dict[str, str], problem: str) -> None:
    """Each problem is a sentence that names the setting."""
    assert problem in "\n".join(problems_of(variables))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("securePort: [1]", "FILE:1: securePort=[1]: Not a valid integer.", id="a list for a number"),
        pytest.param("secureProt: 1", "secureProt: there is no such setting; did you mean securePort?", id="a typo"),
        pytest.param("apiAudiences: [1]", "FILE:1: apiAudiences=[1]: Not a list of texts", id="a list of numbers"),
        pytest.param("apiAudiences: 1", "FILE:1: apiAudiences=1: Not a list of texts", id="a number for a list"),
        pytest.param(
            "v: 2\nauthenticationSkipLookup: [true]",
            "FILE:2: authenticationSkipLookup=[True]: Must be true",
            id="no switch",
        ),
        pytest.param("- a", "FILE:1: a mapping of settings is expected", id="a list"),
        pytest.param("v: 2\na: [", "FILE:2: not YAML: ", id="no YAML"),
        pytest.param("providers: {a: b}", "FILE:1: providers: a list of", id="providers that are no list"),
        pytest.param("providers: [{kind: x}]", "FILE:1: providers[0].name: Missing", id="a provider without a name"),
        pytest.param("providers: [{name: x, kind: x, typo: 1}]", "FILE:1: providers[0].typo: There is no", id="a typo"),
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


@pytest.mark.parametrize(
    ("in_file", "variable", "expected"),
    [
        pytest.param("", None, ("x-remote-user",), id="the default"),
        pytest.param("requestheaderUsernameHeaders: a", None, ("a",), id="one text"),
        pytest.param("requestheaderUsernameHeaders: a, b,", None, ("a", "b"), id="a text with commas and blanks"),
        pytest.param("requestheaderUsernameHeaders: [a, b]", None, ("a", "b"), id="a YAML list"),
        pytest.param("requestheaderUsernameHeaders: []", None, (), id="an empty list"),
        pytest.param("requestheaderUsernameHeaders: [a, b]", "c,d", ("c", "d"), id="the environment wins"),
        pytest.param("requestheaderUsernameHeaders: [a, b]", "", (), id="the environment wins with nothing"),
    ],
)
def test_lists(kubeconfig: str, tmp_path: Path, in_file: str, variable: str | None, expected: tuple[str, ...]) -> None:
    """A list is given with commas, and in the file also as a list."""
    variables = environ(config=write(tmp_path, in_file), kubeconfig=kubeconfig, provider="a")
    if variable is not None:
        variables |= environ(requestheader_username_headers=variable)
    assert settings_from(variables).authentication.requestheader_username_headers == expected


@pytest.mark.parametrize(
    ("in_file", "expected"),
    [
        pytest.param("authenticationSkipLookup: true", True, id="YAML's own"),
        pytest.param("authenticationSkipLookup: 'true'", True, id="a text"),
        pytest.param("authenticationSkipLookup: false", False, id="off"),
    ],
)
def test_switches(kubeconfig: str, tmp_path: Path, in_file: str, expected: bool) -> None:
    settings = settings_from(environ(config=write(tmp_path, in_file), kubeconfig=kubeconfig, provider="a"))
    assert settings.authentication.authentication_skip_lookup is expected


def test_a_server_with_a_cluster_may_be_reached_from_the_network(kubeconfig: str) -> None:
    """The cluster authorizes each request."""
    settings = settings_from(environ(kubeconfig=kubeconfig, provider="a", bind_address="::"))
    assert settings.serving.bind_address == "::"


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        pytest.param(
            environ(requestheader_username_headers="x-a,x_b"),
            "--requestheader-username-headers=x_b: not the name of a header",
            id="a user's header with an underscore, which serving drops",
        ),
        pytest.param(environ(requestheader_uid_headers="a b"), "--requestheader-uid-headers=a b", id="a blank"),
        pytest.param(environ(requestheader_group_headers="a:"), "--requestheader-group-headers=a:", id="a colon"),
        pytest.param(
            environ(requestheader_extra_headers_prefix="é-"), "--requestheader-extra-headers-prefix=é-", id="no ASCII"
        ),
        pytest.param(
            environ(authorization_always_allow_paths="/a,b"),
            "--authorization-always-allow-paths=b: a path begins with /",
            id="a path without its first slash",
        ),
        pytest.param(
            environ(requestheader_client_ca_file=__file__, requestheader_username_headers=""),
            "--requestheader-username-headers is empty",
            id="a front proxy that can name nobody",
        ),
    ],
)
def test_problem_of_access(kubeconfig: str, variables: dict[str, str], problem: str) -> None:
    """What would recognise nobody, or leave a path closed that should be open, stops the start."""
    (found,) = problems_of(environ(kubeconfig=kubeconfig, provider="a") | variables)
    assert problem in found


ACCESS = [row for section in (AuthenticationSettings, AuthorizationSettings) for row in rows_of(section)]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.flag) for row in ACCESS])
def test_nobody_relies_on_authentication_without_a_cluster(row: Setting) -> None:
    """In standalone mode nothing asks who somebody is: a flag that says how is a mistake."""
    value = "true" if row.switch else __file__
    problem, *_ = problems_of({row.variable: value})
    assert problem.startswith(f"{row.flag}: there is no cluster, and nobody checks who asks")


SERVICE = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "443", "SERVICE_PORT_HTTPS": "443", "PORT": "tcp://10.0.0.1:443"}
SERVICE |= {"PORT_443_TCP": "tcp://10.0.0.1:443", "PORT_443_TCP_PROTO": "tcp", "PORT_443_TCP_ADDR": "10.0.0.1"}


@pytest.mark.parametrize("name", ["", "X_", "WEB_2_", "SECURE_", "CONFIG_RELOADER_"])
def test_variables_that_kubernetes_makes_for_services_are_no_settings(name: str) -> None:
    """For one of our name, and for those whose names begin with it."""
    variables = {f"METRICS_APISERVER_{name}{rest}": value for rest, value in SERVICE.items()}
    variables.pop("METRICS_APISERVER_SECURE_PORT", None)
    assert settings_from(variables).serving.secure_port == 6443


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="the embedded default"),
        pytest.param(environ(provider="constant"), id="a provider that is named"),
        pytest.param(environ(provider="writable"), id="the writable provider by its name"),
        pytest.param(environ(metrics="queues.py"), id="functions"),
    ],
)
def test_bundled_objects_are_there_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """A read of `pods/*` would find nothing without them."""
    monkeypatch.chdir(tmp_path)
    assert settings_from(variables).cluster.objects.endswith("embedded/objects.yaml")
    (tmp_path / "own.yaml").touch()
    assert settings_from(variables | environ(objects="own.yaml")).cluster.objects == "own.yaml"
