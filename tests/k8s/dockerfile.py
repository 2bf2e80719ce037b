"""The Dockerfile's own steps without a container engine: each COPY and RUN, in a folder that stands for the root.

What differs from a build: the paths /src, /wheel, /install and /usr/local are below that folder; the base image is an
environment of the newest Python with pip alone; and pip takes what it has in its cache.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import venv
from dataclasses import dataclass, field
from pathlib import Path

from tests.packaging.pages import ROOT

__all__ = ["ALLOWED", "IGNORED", "Build", "Instruction", "context", "environment", "instructions"]

DOCKERFILE = ROOT / "Dockerfile"
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
ALLOWED = [line.removeprefix("!") for line in IGNORED if line.startswith("!")]
FOLDERS = re.compile(r"(?<![^\s=])/(src|wheel|install)\b")
# Variables of the environment that the tests run in; what says where the package index is stays.
OURS = ("PYTHON", "VIRTUAL_ENV", "PIP_CONSTRAINT", "PIP_QUIET")
# What would have every package downloaded for every test.
LEFT_OUT = {"PIP_NO_CACHE_DIR"}


@dataclass(frozen=True)
class Instruction:
    """A line of the Dockerfile."""

    name: str
    text: str
    stage: int

    @property
    def words(self) -> list[str]:
        """Its arguments; of a JSON array its items."""
        found: list[str] = json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)
        return found


def instructions() -> list[Instruction]:
    """Read the Dockerfile; stage 0 stands for what is before the first FROM."""
    found: list[Instruction] = []
    stage = 0
    for line in DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, text = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(name, text, stage))
    return found


def environment(folder: Path, python: Path, *, with_pip: bool) -> Path:
    """Make what stands for the base image, and give its interpreter."""
    flags = [] if with_pip else ["--without-pip"]
    subprocess.run([python, "-m", venv.__name__, *flags, folder], check=True, timeout=120)
    return folder / "bin" / "python"


def context(folder: Path) -> Path:
    """Copy what .dockerignore lets into a build, to a new folder."""
    folder.mkdir()
    for name in ALLOWED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@dataclass
class Build:
    """One build of a context in a root folder, with the interpreter that stands for the base image's."""

    context: Path
    root: Path
    python: Path
    variables: dict[str, str] = field(default_factory=dict)
    folder: Path = Path("/")

    def run(self) -> Path:
        """Do all steps; give what the last stage has in /usr/local."""
        for instruction in instructions():
            match instruction.name:
                case "FROM":
                    self.variables, self.folder = {}, self.root
                case "ENV":
                    self.variables |= dict(word.split("=", 1) for word in instruction.words)
                case "WORKDIR":
                    self.folder = self._inside(instruction.text)
                    self.folder.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(*instruction.words)
                case "RUN":
                    self._execute(instruction.text)
        return self._inside("/usr/local")

    def _inside(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def _copy(self, *words: str) -> None:
        *sources, target = words
        if sources[0].startswith("--from="):
            (source,) = sources[1:]
            shutil.copytree(self._inside(source), self._inside(target), dirs_exist_ok=True)
            return
        for source in sources:
            path = self.context / source
            if path.is_dir():
                shutil.copytree(path, self.folder / target)
            else:
                shutil.copy(path, self.folder / target)

    def _execute(self, command: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        environ |= {name: value for name, value in self.variables.items() if name not in LEFT_OUT}
        environ["PATH"] = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        command = FOLDERS.sub(lambda found: f"{self.root}/{found[1]}", command)
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=environ, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
