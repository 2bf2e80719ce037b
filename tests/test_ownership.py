"""One owner of the import names `app` and `providers`: what is refused, and what is none of our business."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from app import ownership, registry

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 4.5\n"
OTHER = "other-thing 4.5"


def install(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """Lay the metadata of a distribution out as pip does."""
    metadata = folder / f"{name.replace('-', '_')}-4.5.dist-info"
    metadata.mkdir()
    for file, content in files.items():
        (metadata / file).write_text(content, encoding="utf-8")


def whole(name: str = "other-thing", **files: str) -> dict[str, str]:
    return {
        "METADATA": METADATA.format(name=name),
        **{file.replace("_txt", ".txt"): text for file, text in files.items()},
    }


def test_this_environment_has_one_owner_of_each() -> None:
    """An editable install, whose metadata is found twice, is one."""
    assert ownership.check() == []


@pytest.mark.parametrize(
    ("files", "names"),
    [
        pytest.param(whole(top_level_txt="app\n"), ["app"], id="declared"),
        pytest.param(whole(RECORD="app/__init__.py,,\napp/x.py,,\n"), ["app"], id="recorded as a package"),
        pytest.param(whole(RECORD="providers.py,,\n"), ["providers"], id="recorded as a module"),
        pytest.param(whole(top_level_txt="app\nproviders\n"), ["app", "providers"], id="both names"),
        pytest.param(whole(RECORD="other/app/x.py,,\napplication.py,,\napp-1.0/x,,\n"), [], id="other names"),
        pytest.param(whole("Metrics.APIServer", top_level_txt="app\n"), [], id="our own name, written differently"),
        pytest.param({"top_level.txt": "app\n"}, [], id="an interrupted removal, without metadata"),
        pytest.param({"METADATA": "", "RECORD": "app/x.py,,\n"}, [], id="empty metadata"),
        pytest.param(whole(), [], id="nothing recorded"),
    ],
)
def test_second_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str], names: list[str]
) -> None:
    """The sentence names both distributions with their versions."""
    install(tmp_path, "other-thing", files)
    monkeypatch.syspath_prepend(str(tmp_path))
    problems = ownership.check()
    assert [problem.split()[3] for problem in problems] == names
    for problem in problems:
        assert OTHER in problem
        assert "metrics-apiserver 0." in problem


def test_metadata_without_a_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a distribution is an owner all the same."""
    install(tmp_path, "other-thing", {"METADATA": "Name: other-thing\n", "top_level.txt": "app"})
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = ownership.check()
    assert "other-thing of unknown version" in problem


def test_file_that_is_no_text_does_not_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's broken metadata is no problem of ours."""
    install(tmp_path, "other-thing", whole())
    (tmp_path / "other_thing-4.5.dist-info" / "RECORD").write_bytes(b"app/\xff.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ownership.check() == []


def test_it_is_among_the_problems_that_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gunicorn's configuration prints is what the registry's check gives."""
    install(tmp_path, "other-thing", whole(top_level_txt="app\n"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = registry.check([])
    assert problem.startswith("the import name app belongs to several installed distributions, ")
