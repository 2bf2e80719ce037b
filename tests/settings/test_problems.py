"""What a problem looks like to a user."""

from __future__ import annotations

import pytest

from metrics_apiserver.settings import Problem, SettingsError, setting


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        pytest.param(Problem("it is wrong"), "it is wrong", id="of nothing in a file"),
        pytest.param(Problem("it is wrong", ("logFormat",)), "it is wrong", id="of a setting that no file gives"),
        pytest.param(Problem("it is wrong", (), "f.yaml", 3), "f.yaml:3: it is wrong", id="of a line"),
        pytest.param(Problem("it is wrong", (), "f.yaml"), "f.yaml: it is wrong", id="of a file as a whole"),
        pytest.param(Problem("a\nb\x1b", (), "f\n.yaml", 1), "f\\n.yaml:1: a\\nb\\x1b", id="on one printable line"),
        pytest.param(Problem("\ud800"), "\\ud800", id="what has no encoding"),
        pytest.param(
            setting("secure_port").problem("no port", 0), "--secure-port=0: no port", id="of a setting, with its value"
        ),
        pytest.param(setting("v").problem("too much"), "-v: too much", id="of a setting, without its value"),
    ],
)
def test_line(problem: Problem, line: str) -> None:
    assert str(problem) == line


def test_problem_of_a_setting_knows_its_place_in_a_file() -> None:
    assert setting("secure_port").problem("no port").place == ("securePort",)


def test_error_says_all_problems() -> None:
    assert str(SettingsError([Problem("a"), Problem("b", (), "f", 1)])) == "a; f:1: b"
