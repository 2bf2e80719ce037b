"""What would be in the image: the Dockerfile's own steps, and a server from what comes out of them."""

from __future__ import annotations

import configparser
import hashlib
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.controlplane.certificates import Authority, Usage, write_private
from tests.k8s.checkout import Checkout, the
from tests.k8s.dockerfile import ALLOWED, IGNORED, Build, Instruction, context, environment, instructions
from tests.live.server import LiveServer
from tests.packaging.interpreters import claimed, newest
from tests.packaging.pages import ROOT

PACKETS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/web-0/packets-per-second"


@pytest.fixture(name="builds", scope="module")
def _builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What two builds of the same have in /usr/local, one after the other in the same place."""
    folder = tmp_path_factory.mktemp("image")
    python = environment(folder / "base", newest(), with_pip=True)
    sources = context(folder / "context")
    Build(sources, folder / "root", python).run()
    first = (folder / "root").rename(folder / "first")
    return first / "usr" / "local", Build(sources, folder / "root", python).run()


@pytest.fixture(name="installed", scope="module")
def _installed(builds: tuple[Path, Path]) -> Path:
    return builds[1]


def final(name: str) -> Instruction:
    """Give the one instruction of this name in the last stage."""
    every = instructions()
    (found,) = (each for each in every if (each.name, each.stage) == (name, every[-1].stage))
    return found


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Give a digest of each file, and its mode."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.timeout(600)
def test_two_builds_have_the_same_files(builds: tuple[Path, Path]) -> None:
    """Byte for byte, compiled ones and all."""
    first, second = map(contents, builds)
    assert first == second
    assert any(name.endswith(".pyc") for name in first)


def test_versions_are_those_that_were_tested(installed: Path) -> None:
    """Each distribution is as constraints.txt says, and none is there that only builds."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    (site_packages,) = installed.glob("lib/python*/site-packages")
    found = {canonicalize_name(each.name): each.version for each in distributions(path=[str(site_packages)])}
    ours = found.pop("metrics-apiserver")
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert ours == setup["metadata"]["version"]
    assert found.items() <= versions.items()
    assert {"gunicorn", "flask", "kubernetes", "pyopenssl"} <= set(found)
    assert {"setuptools", "pip", "pytest"}.isdisjoint(found)


@pytest.fixture(name="folder")
def _folder(installed: Path) -> Iterator[Path]:
    """A working directory that cannot be written to, outside of every home."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def test_image_serves_and_writes_nothing(
    installed: Path, folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The entry point, where neither the working directory nor the home nor a temporary folder can be written."""
    python = environment(tmp_path_factory.mktemp("runtime") / "base", newest(), with_pip=False)
    authority, certificates = Authority("ca"), tmp_path / "certificates"
    certificates.mkdir()
    pair = authority.issue("localhost", dns_names=["localhost"], usage=Usage.SERVER)
    _, key = pair.write(certificates, "served")
    # The client of the tests trusts the file of this name.
    (certificates / "apiserver.crt").write_bytes(authority.certificate_pem)
    chain = certificates / "chain.crt"
    write_private(chain, pair.certificate_pem)

    program, *arguments = final("ENTRYPOINT").words
    flags = (f"--tls-cert-file={chain}", f"--tls-private-key-file={key}", "--provider=constant")
    (site_packages,) = installed.glob("lib/python*/site-packages")
    environ = {"PYTHONPATH": str(site_packages), "HOME": str(folder), "TMPDIR": str(folder)}
    environ |= dict(word.split("=", 1) for word in final("ENV").words)
    before = contents(installed)
    # The first line of the program names the interpreter of the base image, which is this one here.
    inside = ("/bin/sh", "-c", 'cd "$0" && exec "$@"', str(folder), str(python), str(installed / "bin" / program))
    with LiveServer(tmp_path, command=(*inside, *arguments, *flags), environ=environ) as server:
        (item,) = server.ask("GET", PACKETS, {}).json["items"]
        assert item["value"] == "10"
        assert str(ROOT) not in server.log()
    assert list(folder.iterdir()) == []
    assert contents(installed) == before


def test_image_and_deployment_agree(checkout: Checkout) -> None:
    """User, group, port; and a Python that we test with, in both stages."""
    pod = the(checkout.render("base"), "Deployment")["spec"]["template"]["spec"]
    security = pod["securityContext"]
    assert final("USER").text == f"{security['runAsUser']}:{security['runAsGroup']}"
    (port,) = pod["containers"][0]["ports"]
    assert final("EXPOSE").text == str(port["containerPort"])
    assert "command" not in pod["containers"][0]
    (base,) = (each.text for each in instructions() if each.name == "ARG")
    version = re.fullmatch(r"BASE=python:(\d+)\.(\d+)-slim-\w+", base)
    assert version is not None
    assert (int(version[1]), int(version[2])) in claimed()
    assert {each.words[0] for each in instructions() if each.name == "FROM"} == {"${BASE}"}


def test_context_is_a_list_of_what_is_needed() -> None:
    """Nothing that lies about gets into the build: no key, no environment, no local configuration."""
    first, *_ = (line for line in IGNORED if line and not line.startswith("#"))
    assert first == "*"
    copied = {word.rstrip("/") for each in instructions() if each.name == "COPY" for word in each.words[:-1]}
    assert set(ALLOWED) == {word for word in copied if not word.startswith(("-", "/"))}
