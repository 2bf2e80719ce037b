"""The newest Python that can be had here: the tests that need no socket, in the walkthrough's environment.

`make test-python` runs the others too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import Walked
from tests.packaging.interpreters import claimed, newest
from tests.packaging.pages import ROOT

# Processes and deadlines of real seconds, which are the same whatever runs them.
WITH_SOCKETS = (
    *("controlplane", "fuzz", "k8s", "kube", "live", "packaging", "reloading", "serving"),
    *("providers/proxy", "providers/shadow", "testing"),
)
# Thousands of requests, and measures of time and memory: no new Python makes them wrong, and they take minutes.
MEASURED = (
    *("answering/test_fronts.py", "auth/test_storms.py", "auth/test_targets.py", "auth/test_targets_over_tls.py"),
    *("benchmarks", "blueprints/test_metrics.py", "logs/test_hiding.py", "test_linear.py", "test_yaml_values.py"),
)


def test_oldest_python_claimed_is_the_oldest_accepted() -> None:
    """The classifiers and `python_requires` say the same."""
    oldest = ".".join(map(str, claimed()[0]))
    assert f"python_requires = >={oldest}\n" in (ROOT / "setup.cfg").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_tests_pass_on_the_newest_python(walked: Walked, wheel: Path) -> None:
    """Where the newest is the one that runs this test, the others are the proof."""
    if f"python{sys.version_info.major}.{sys.version_info.minor}" == newest().name:
        return
    install = [walked.bin / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*install, f"metrics-apiserver[test] @ file://{wheel}"], check=True, timeout=120)
    ignored = [f"--ignore=tests/{place}" for place in (*WITH_SOCKETS, *MEASURED)]
    pytest_run = subprocess.run(
        [
            walked.bin / "python",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--numprocesses=2",
            "--dist=loadscope",
            *ignored,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=420,
    )
    assert pytest_run.returncode == 0, pytest_run.stdout[-5000:] + pytest_run.stderr[-2000:]
