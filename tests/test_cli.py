"""The command line: its flags become the environment in which gunicorn starts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from metrics_apiserver import cli
from metrics_apiserver.configuration import settings_from
from metrics_apiserver.settings import settings_table
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
    settings = settings_from(started[0])
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


@pytest.fixture(name="validate")
def _validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str]]]:
    """Run the command on a file with this text; gives the exit code and the lines."""
    for name in [name for name in os.environ if name.startswith("METRICS_APISERVER_")]:
        monkeypatch.delenv(name)
    # A relative path is what people type, and what the lines begin with.
    monkeypatch.chdir(tmp_path)

    def validate(text: str, *flags: str) -> tuple[int, list[str]]:
        Path("config.yaml").write_text(text, encoding="utf-8")
        code = cli.main(["validate", "config.yaml", *flags])
        return code, capsys.readouterr().out.splitlines()

    return validate


def test_validate_says_every_problem_with_its_line(validate: Callable[..., tuple[int, list[str]]]) -> None:
    """Those of the settings, of the schema, of the installation and of a provider's own options."""
    code, lines = validate(
        """\
securePort: 70000
typo: 1
tlsCertFile: /nowhere
providers:
- name: a
  kind: nowhere
  maxAge: 5
- name: a
  kind: writable
  options:
    values:
    - metric: m
  onEmpty: nothing
  onEmpty: nothing
"""
    )
    assert code == 1
    assert sorted(int(line.split(":")[1]) for line in lines) == [1, 2, 3, 3, 6, 7, 8, 12, 14, 14]
    for sentence in (
        "config.yaml:14: the key onEmpty is given twice, first on line 13",
        "config.yaml:1: securePort=70000: Must be greater than or equal to 1 and less than or equal to 65535.",
        "config.yaml:7: providers[0].maxAge: Not a duration: write it as 30s, 10m or 1h30m.",
        "config.yaml:2: typo: there is no such setting",
        "config.yaml:8: providers: the name a is given twice; every instance needs its own",
    ):
        assert sentence in lines
    assert lines[-2].startswith("config.yaml:6: provider a: there is no provider of the kind nowhere; installed are: ")
    assert lines[-1].endswith("the options are wrong: values[0].value: Missing data for required field.")


@pytest.mark.parametrize(
    ("text", "flags", "line"),
    [
        pytest.param(
            "providers: [{name: a, kind: constant}]\n", (), "one provider: a (constant)", id="one, with the defaults"
        ),
        pytest.param(
            "providers:\n- {name: a, kind: constant}\n- {name: b, kind: writable, match: {api: custom}}\n",
            (),
            "2 providers: a (constant), b (writable)",
            id="two",
        ),
        pytest.param("", (), "one provider: writable (writable)", id="an empty file: the embedded default"),
        pytest.param("v: x\n", ("-v=4",), "one provider: writable (writable)", id="a flag wins over what is wrong"),
    ],
)
def test_validate_says_what_is_there(
    validate: Callable[..., tuple[int, list[str]]], text: str, flags: tuple[str, ...], line: str
) -> None:
    assert validate(text, *flags) == (0, [f"config.yaml: nothing is wrong; {line}"])


@pytest.mark.parametrize(
    ("text", "flags", "problem"),
    [
        pytest.param("a: [", (), "config.yaml:1: not YAML: ", id="no YAML"),
        pytest.param("bindAddress: 0.0.0.0\n", (), "config.yaml:1: --bind-address=0.0.0.0: without", id="the network"),
        pytest.param(
            "bindAddress: 127.0.0.1\n", ("--bind-address=::",), "--bind-address=::: without a cluster", id="by a flag"
        ),
        pytest.param("tlsCipherSuites: X\n", (), "config.yaml:1: --tls-cipher-suites=X: there is no", id="a cipher"),
        pytest.param(
            "tlsCertFile: config.yaml\ntlsPrivateKeyFile: config.yaml\n",
            (),
            "config.yaml:1: --tls-cert-file=config.yaml: ",
            id="a certificate that is none",
        ),
        pytest.param(
            "v: 2\n",
            ("--tls-cert-file=config.yaml", "--tls-private-key-file=config.yaml"),
            "--tls-cert-file=",
            id="by flags",
        ),
    ],
)
def test_validate_says_what_serve_would_say(
    validate: Callable[..., tuple[int, list[str]]], text: str, flags: tuple[str, ...], problem: str
) -> None:
    """A setting that a flag gives has no line; and nothing is made, not even a certificate."""
    code, lines = validate(text, *flags)
    assert (code, lines[0].startswith(problem)) == (1, True), lines
    assert list(Path().iterdir()) == [Path("config.yaml")]


def test_validate_of_a_file_that_is_not_there(validate: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate", "none.yaml"]) == 1
    assert capsys.readouterr().out.startswith("--config=none.yaml: No such file or directory\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]),
            "config.yaml:6: not YAML: aliases stand for more than 100,000 values",
            id="aliases of aliases",
        ),
        pytest.param(
            f"securePort: {'[' * 100_000}",
            "config.yaml:1: not YAML: it is nested in more than 100 levels",
            id="nested without an end",
        ),
        pytest.param(
            f"a: &a [{'x, ' * 1000}x]\nsecurePort: [*a, *a]\n",
            "config.yaml:2: securePort=[['x', 'x', 'x', ",
            id="a value that is long is not quoted whole",
        ),
    ],
)
def test_validate_refuses_what_is_absurd(
    validate: Callable[..., tuple[int, list[str]]], text: str, sentence: str
) -> None:
    code, lines = validate(text)
    (found,) = [line for line in lines if line.startswith(sentence)]
    assert (code, len(found) < 400) == (1, True)


@pytest.mark.parametrize("command", ["validate", "providers"])
@pytest.mark.parametrize(
    ("into", "said"),
    [
        pytest.param("full", "metrics-apiserver: the output cannot be written: No space left on device\n", id="full"),
        pytest.param("left", "", id="a reader that has left"),
    ],
)
def test_output_that_cannot_be_written_is_a_sentence_and_no_traceback(
    tmp_path: Path, command: str, into: str, said: str
) -> None:
    """As of `validate FILE > /dev/full`, and `| head -1`."""
    out, pipe = os.pipe()
    os.close(out)
    output = os.open("/dev/full", os.O_WRONLY) if into == "full" else os.dup(pipe)
    os.close(pipe)
    try:
        done = run(command, tmp_path, stdout=output)
    finally:
        os.close(output)
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        pytest.param((0, 2), "", "", id="without a stderr"),
        pytest.param((1, 2), "", "", id="without a stdout and a stderr"),
        pytest.param((0, 1), "", "1: x: there is no such setting", id="without a stdin and a stdout"),
    ],
)
def test_server_with_closed_descriptors_says_what_it_can(
    tmp_path: Path, closed: tuple[int, ...], out: str, err: str
) -> None:
    """And ends with its own code."""
    done = run("serve", tmp_path, closed=closed)
    assert done.returncode not in (0, None)
    assert done.stdout == out
    assert "NoneType" not in done.stderr
    assert err in done.stderr


@pytest.mark.parametrize("module", ["metrics_apiserver.cli", "metrics_apiserver.serving.config"])
def test_what_is_opened_gets_no_number_of_the_standard_streams(module: str, tmp_path: Path) -> None:
    """Whatever was closed: not the log's memory, and not the listening socket."""
    report = tmp_path / "report"
    program = (
        f"import {module}, os, sys\n"
        f"open({str(report)!r}, 'w').write(' '.join(os.readlink(f'/proc/self/fd/{{n}}') for n in (0, 1, 2)))\n"
        "print('x', file=sys.stderr, flush=True); print('x', flush=True)\n"
    )
    variables = {**os.environ, **environ(cert_dir=str(tmp_path), provider="writable")}
    script = 'exec "$0" -c "$1" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", script, sys.executable, program], env=variables, check=False, timeout=60)
    assert done.returncode == 0
    assert report.read_text() == "/dev/null /dev/null /dev/null"


def run(
    command: str, folder: Path, *, stdout: int = subprocess.PIPE, closed: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command with a file that is wrong, and without these descriptors."""
    file = folder / "wrong.yaml"
    file.write_text("x: 1\n")
    arguments = {
        "validate": ["validate", str(file)],
        "providers": ["providers"],
        "serve": ["serve", f"--config={file}"],
    }
    closing = " ".join(f"{number}>&-" for number in closed)
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -m metrics_apiserver.cli "$@" {closing}', sys.executable, *arguments[command]],
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["serve", "--secure-prot=1"], "--secure-prot=1; did you mean --secure-port?", id="a flag"),
        pytest.param(["serve", "--provder", "x"], "did you mean --provider?", id="one with its value apart"),
        pytest.param(["validate", "x", "--objekts=a"], "did you mean --objects?", id="of another command"),
        pytest.param(["serve", "--nonsense-at-all"], "arguments: --nonsense-at-all\n", id="nothing"),
    ],
)
def test_misspelt_flag_is_told_which_is_meant(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert sentence in capsys.readouterr().err


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"metrics-apiserver {version('metrics-apiserver')}\n"


@pytest.mark.parametrize("command", [[], ["serve"], ["validate"], ["providers"]], ids=" ".join)
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command, "--help"])
    assert f"Example: metrics-apiserver {' '.join(command)}" in " ".join(capsys.readouterr().out.split())


def test_help_of_serve_has_every_flag_with_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for row in settings_table():
        assert f"{row.flag} {row.takes}" in text or f"{row.flag} [{row.takes}]" in text, row.flag
    for title in ("serving:", "the cluster:", "authentication:", "the log:"):
        assert title in text


@pytest.mark.parametrize(
    ("files", "text", "flags", "sentence"),
    [
        pytest.param({}, "", ("--metrics=nowhere.py",), "nowhere.py cannot be read", id="no functions file"),
        pytest.param({"q.py": "import nowhere_at_all"}, "", ("--metrics=q.py",), "q.py, line 1: Mod", id="its import"),
        pytest.param({"q.py": "x = 1"}, "", ("--metrics=q.py",), "q.py has no Metrics", id="nothing declared"),
        pytest.param({"o.yaml": "a: ["}, "objects: o.yaml", (), "o.yaml: not YAML", id="objects that cannot be read"),
        pytest.param(
            {"k": "{}"},
            "kubeconfig: k\nproviders: [{name: a, kind: constant}]",
            (),
            "k: no current-context is set",
            id="a kubeconfig of nothing",
        ),
        pytest.param(
            {},
            "providers: [{name: m, kind: functions, options: {module: nowhere_at_all}}]",
            (),
            "the module nowhere_at_all cannot be imported",
            id="no module",
        ),
    ],
)
def test_validate_says_what_a_start_dies_of(
    validate: Callable[..., tuple[int, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    files: dict[str, str],
    text: str,
    flags: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    code, lines = validate(text, *flags)
    assert code == 1
    assert sentence in "\n".join(lines)


def test_validate_reads_a_pipe_and_writes_json(tmp_path: Path) -> None:
    """The lines are those of what came."""
    command = [sys.executable, "-m", "metrics_apiserver.cli", "validate", "-", "-o", "json"]
    done = subprocess.run(command, input=b"v: 1\ntypo: 1\n", capture_output=True, cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["file"] == "-"
    (problem,) = answer["problems"]
    assert (problem["file"], problem["line"], problem["place"]) == ("-", 2, ["typo"])
    assert "there is no such setting" in problem["sentence"]


def test_taken_port_is_said_at_once_with_its_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "metrics_apiserver.cli", "serve", f"--secure-port={port}"]
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 1
    assert f"  - --secure-port={port}: something listens there already; name another port, or end it\n" in done.stderr
    # gunicorn alone tries for five seconds.
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "- {name: keda, kind: proxy, options: OPTIONS}\n- {name: a, kind: constant}", 2, id="before another"
        ),
        pytest.param("- {name: a, kind: constant}\n- {name: keda, kind: proxy, options: OPTIONS}", None, id="the last"),
        pytest.param(
            "- {name: keda, kind: proxy, match: {metrics: [s0-*]}, options: OPTIONS}\n- {name: a, kind: constant}",
            None,
            id="with a match",
        ),
    ],
)
def test_validate_warns_of_a_proxy_that_hides_others(
    validate: Callable[..., tuple[int, list[str]]], text: str, line: int | None
) -> None:
    code, lines = validate("providers:\n" + text.replace("OPTIONS", "{url: 'https://keda.example'}"))
    assert code == 0
    warnings = [each for each in lines if "warning: provider keda (proxy) has no match" in each]
    assert [each.partition(": warning")[0] for each in warnings] == ([f"config.yaml:{line}"] if line else [])
