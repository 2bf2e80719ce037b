"""Whatever lies in the folder where the server is started is in nobody's way, and still found where it is meant."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.live.server import COMMAND, LiveServer

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CONFIGURATION = ("-c", "python:metrics_apiserver.serving.config")
FUNCTIONS = """
from metrics_apiserver.provider.functions import Metrics
from our_helper import DEPTH

metrics = Metrics()
metrics.external("queue-depth")(lambda: DEPTH)
"""
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue-depth"


def our_requirements() -> set[str]:
    """Everything that the server imports from other distributions."""
    names = {Requirement(each).name.lower() for each in requires("metrics-apiserver") or () if "extra ==" not in each}
    return {
        module
        for module, distributions in packages_distributions().items()
        if re.fullmatch(r"[a-z_]\w*", module) and names & {each.lower() for each in distributions}
    }


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((str(COMMAND), "serve"), id="metrics-apiserver serve"),
        pytest.param(
            (str(BIN / "gunicorn"), *CONFIGURATION, "metrics_apiserver.wsgi:app"), id="gunicorn with our configuration"
        ),
    ],
)
def test_modules_of_the_working_folder_hide_no_package(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A Flask project's `app.py`, and one called like each of our requirements: the server starts, and serves.

    gunicorn itself is left out for its own command, which Python starts before anything of ours.
    """
    # gunicorn's command imports these itself, before it reads a configuration.
    early = {"gunicorn", "packaging"}
    for name in {"app", "providers", "wsgi", "settings", "serving", "registry", *our_requirements()} - early:
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name} of the working folder')\n", encoding="utf-8")
    (tmp_path / "our_helper.py").write_text("DEPTH = 42\n", encoding="utf-8")
    functions = tmp_path / "queues.py"
    functions.write_text(FUNCTIONS, encoding="utf-8")
    environ = {"METRICS_APISERVER_METRICS": str(functions)}
    with LiveServer(tmp_path, command=command, environ=environ) as server:
        assert [item["value"] for item in server.ask("GET", EXTERNAL, {}).json["items"]] == ["42"]
        assert "of the working folder" not in server.log()


def test_a_program_stands_beside_an_app_of_its_own(tmp_path: Path) -> None:
    """`from app import …` in it means what it means everywhere else."""
    (tmp_path / "app.py").write_text("DEPTH = 7\n", encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(
        "from app import DEPTH\n"
        "from metrics_apiserver.adapter import serve\n"
        "from metrics_apiserver.provider.functions import Metrics\n"
        "import os\n"
        "metrics = Metrics()\n"
        "metrics.external('queue-depth')(lambda: DEPTH)\n"
        "serve(metrics, '127.0.0.1:' + os.environ['METRICS_APISERVER_SECURE_PORT'])\n",
        encoding="utf-8",
    )
    with LiveServer(tmp_path, command=(sys.executable, str(program))) as server:
        assert [item["value"] for item in server.ask("GET", EXTERNAL, {}).json["items"]] == ["7"]


@pytest.mark.parametrize("name", ["wsgi.py", "gunicorn.conf.py"])
def test_a_checkout_that_is_not_installed_says_how(name: str) -> None:
    """Where the package is not there: a sentence with the command, and no traceback."""
    done = subprocess.run(
        # -S: without what is installed; -P: nor what lies beside the file.
        [sys.executable, "-S", "-P", str(ROOT / name)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1
    assert "pip install -e ." in done.stderr
    assert "Traceback" not in done.stderr
