"""The wheel, and an environment with nothing but it and the walkthrough's package, made as the walkthrough says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.interpreters import newest
from tests.packaging.pages import ELSEWHERE, ROOT, Follower, steps

WALKTHROUGH = ROOT / "docs" / "walkthrough.md"
EXAMPLE = ROOT / "examples" / "walkthrough"
# What a checkout gathers and a clone does not have.
MADE_HERE = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__", "apiserver.local.config")


@dataclass(frozen=True)
class Walked:
    """The walkthrough, walked: where, with which programs, and what every command printed."""

    bin: Path
    printed: dict[str, str]


@pytest.fixture(name="wheel", scope="session")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the checkout, tests, examples and all."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "checkout", ignore=MADE_HERE)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, folder / "checkout"], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(name="walked", scope="session")
def _walked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """Follow the walkthrough from an empty folder, with the newest Python."""
    folder = tmp_path_factory.mktemp("walkthrough")
    substitutions = {"python3 -m venv": f"{newest()} -m venv", "pip install metrics-apiserver": f"pip install {wheel}"}
    printed = {}
    with Follower(folder, folder / ".venv" / "bin", substitutions) as follower:
        for step in steps(WALKTHROUGH):
            if step.command == "pip install .":
                # By now the reader has written the files.
                assert not [path for path in folder.iterdir() if path.name != ".venv"]
                shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=MADE_HERE)
            if step.command not in ELSEWHERE:
                printed[step.command] = follower.run(step.command)
    return Walked(folder / ".venv" / "bin", printed)
