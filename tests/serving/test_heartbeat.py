"""Where the worker's heartbeat beats: in memory, or else wherever a file can be made."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metrics_apiserver.serving.heartbeat import heartbeat_folder
from tests.serving.conftest import PROJECT


def _missing(folder: Path) -> str:
    return str(folder / "missing")


def _file(folder: Path) -> str:
    (folder / "file").touch()
    return str(folder / "file")


def _of_the_kernel(_folder: Path) -> str:
    """A file system in which nobody makes a file, root included; as one that is read-only."""
    return "/proc/self"


BAD = [
    pytest.param(_missing, id="a folder that is missing"),
    pytest.param(_file, id="a file in its place"),
    pytest.param(_of_the_kernel, id="a file system that takes no file"),
]


@pytest.mark.parametrize("bad", BAD)
def test_folder_that_takes_no_file_is_passed_over(tmp_path: Path, bad: Callable[[Path], str]) -> None:
    good = tmp_path / "good"
    good.mkdir()
    assert heartbeat_folder([str(good)]) == (str(good), [])
    assert heartbeat_folder([bad(tmp_path), str(good)]) == (str(good), [])
    assert heartbeat_folder([bad(tmp_path)]) == (tempfile.gettempdir(), [])
    assert list(good.iterdir()) == []


def test_where_none_takes_a_file_the_problem_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", _missing(tmp_path))
    folder, (problem,) = heartbeat_folder([_file(tmp_path)])
    assert folder is None
    assert f"{tmp_path}/file: Not a directory" in problem.sentence
    assert "the temporary folder: No such file or directory" in problem.sentence
    assert "TMPDIR" in problem.sentence


@pytest.mark.parametrize("bad", BAD)
def test_start_goes_on_without_shared_memory(tmp_path: Path, bad: Callable[[Path], str]) -> None:
    code = f"assert config.worker_tmp_dir == {str(tmp_path)!r}, config.worker_tmp_dir"
    done = _configured(tmp_path, bad(tmp_path), code, {"TMPDIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")


def test_start_without_any_folder_is_refused_among_the_other_problems(tmp_path: Path) -> None:
    before = f"import tempfile\ntempfile.tempdir = {_missing(tmp_path)!r}\n"
    done = _configured(tmp_path, _file(tmp_path), "", {"METRICS_APISERVER_TYPO": "1"}, before=before)
    assert done.returncode == 1
    first, *problems = done.stderr.splitlines()
    assert first == "metrics-apiserver: the configuration has 2 problems:"
    assert sum("heartbeat" in line for line in problems) == 1


def _configured(
    folder: Path, memory: str, code: str, environ: dict[str, str], *, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Read gunicorn's configuration in a process of its own, with another folder in the place of /dev/shm."""
    lines = f"{before}from metrics_apiserver.serving import heartbeat\nheartbeat._SHARED_MEMORY = ({memory!r},)\n"
    lines += f"from metrics_apiserver.serving import config\n{code}\n"
    return subprocess.run(
        [sys.executable, "-c", lines],
        cwd=PROJECT,
        env={"METRICS_APISERVER_CERT_DIR": str(folder / "certificates"), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
