"""The pages: every command works, what they print is what is printed, and their code is the example package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import EXAMPLE, WALKTHROUGH, Walked
from tests.packaging.pages import (
    ELSEWHERE,
    PAGES,
    ROOT,
    WITH_A_CLUSTER,
    Follower,
    Step,
    blocks,
    expected_after,
    steps,
)

PRINTED = [step for step in steps(WALKTHROUGH) if step.prints is not None]
WITH_COMMANDS = [page for page in PAGES if steps(page) and page != WALKTHROUGH and page not in WITH_A_CLUSTER]


@pytest.mark.parametrize("step", PRINTED, ids=lambda step: step.command[-60:])
def test_walkthrough_prints_what_it_says(walked: Walked, step: Step) -> None:
    """Character by character, but for the times."""
    assert expected_after(walked.printed[step.command]) == expected_after(step.prints or "")


@pytest.mark.parametrize("step", PRINTED[1:], ids=lambda step: step.command[-60:])
def test_sample_prints_the_same(sampled: Follower, step: Step) -> None:
    """The shipped provider is the walkthrough's."""
    assert expected_after(sampled.run(step.command)) == expected_after(step.prints or "")


@pytest.fixture(name="sampled", scope="module")
def _sampled(walked: Walked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Follower]:
    """The shipped provider on the walkthrough's objects."""
    with Follower(tmp_path_factory.mktemp("sample"), walked.bin) as follower:
        follower.run(f"metrics-apiserver serve --provider sample --objects {EXAMPLE / 'objects.yaml'}")
        yield follower


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_commands_of_the_page_work_in_their_order(walked: Walked, tmp_path: Path, page: Path) -> None:
    """In a folder of their own, with what is installed from the wheel."""
    with Follower(tmp_path, walked.bin) as follower:
        for step in steps(page):
            if step.command in ELSEWHERE:
                continue
            printed = follower.run(step.command)
            if step.prints is not None:
                assert expected_after(printed) == expected_after(step.prints)


def test_what_is_run_elsewhere_is_on_a_page() -> None:
    """The lists of exceptions do not outlive them."""
    commands = {step.command for page in PAGES for step in steps(page)}
    assert set(ELSEWHERE) <= commands
    assert set(WITH_A_CLUSTER) <= {page for page in PAGES if steps(page)}


def test_example_package_is_the_pages_code() -> None:
    """What the reader copies, piece by piece, is what is tested."""
    found: dict[str, list[str]] = {}
    for block in blocks(WALKTHROUGH):
        found.setdefault(block.language, []).append(block.text)
    files = {
        name: (EXAMPLE / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "objects.yaml", "hpa.yaml")
    }
    assert found["toml"] == [files["pyproject.toml"]]
    assert found["yaml"] == [files["objects.yaml"], files["hpa.yaml"]]
    # An editor's own empty lines are between the pieces.
    pieces = "\n".join(found["python"])
    assert _without_empty_lines(pieces) == _without_empty_lines(
        (EXAMPLE / "example_provider.py").read_text(encoding="utf-8")
    )


def _without_empty_lines(text: str) -> str:
    return re.sub(r"\n{2,}", "\n", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_targets_of_the_page_exist(page: Path) -> None:
    """Files that are linked to, their headings, and what is said of make."""
    text = page.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        path = page.parent / target if target else page
        assert path.exists(), target
        if heading:
            assert heading in _headings(path)
    goals = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= goals


def _headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
