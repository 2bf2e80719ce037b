"""The wheel beside another package: what is in it, and both ways to serve it where there is nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.live.server import LiveServer
from tests.packaging.conftest import EXAMPLE, Walked
from tests.packaging.pages import ROOT

PACKETS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/packets-per-second?labelSelector=app%3Dweb"
FLAGS = (f"--objects={EXAMPLE / 'objects.yaml'}", "--provider=example")
ENVIRON = {"METRICS_APISERVER_OBJECTS": str(EXAMPLE / "objects.yaml"), "METRICS_APISERVER_PROVIDER": "example"}


@pytest.fixture(name="contents", scope="module")
def _contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_all_code_and_data_and_nothing_else(contents: set[str]) -> None:
    """The two source roots' packages: every name that it can be imported by is ours alone; no tests, no benchmarks."""
    expected = {
        str(path.relative_to(ROOT / root))
        for root in ("app", "providers")
        for path in (ROOT / root).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = {name for name in contents if ".dist-info/" not in name}
    assert found == expected
    assert {name.partition("/")[0] for name in found} == {"metrics_apiserver", "metrics_apiserver_providers"}
    assert {
        "metrics_apiserver/py.typed",
        "metrics_apiserver_providers/py.typed",
        "metrics_apiserver/embedded/config.yaml",
        "metrics_apiserver/embedded/objects.yaml",
    } <= contents


def test_readme_and_licence_are_in_the_metadata(wheel: Path, contents: set[str]) -> None:
    """What an index shows, and what the licence asks for."""
    (metadata,) = (name for name in contents if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(metadata).decode()
    assert (ROOT / "README.md").read_text(encoding="utf-8") in text
    assert any(name.endswith("/LICENSE") for name in contents)


@pytest.mark.parametrize(
    ("program", "arguments", "environ"),
    [
        pytest.param("metrics-apiserver", ("serve", *FLAGS), {}, id="metrics-apiserver serve"),
        pytest.param(
            "gunicorn",
            ("-c", "python:metrics_apiserver.serving.config", "metrics_apiserver.wsgi:app"),
            ENVIRON,
            id="gunicorn with our configuration",
        ),
    ],
)
def test_provider_of_another_package_is_served_from_an_empty_folder(
    walked: Walked, tmp_path: Path, program: str, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    """Over TLS, with the certificate that the server made; nothing of this checkout is in sight."""
    with LiveServer(tmp_path, command=(str(walked.bin / program), *arguments), environ=environ) as server:
        answer = server.ask("GET", PACKETS, {})
        assert [item["value"] for item in answer.json["items"]] == ["3300m"] * 3
        assert "example-metrics-provider" in server.log()
    assert str(ROOT) not in server.log()
