"""Lists of which an empty one means that anything goes: nothing but blanks is not such a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.ciphers import cipher_problems
from metrics_apiserver.configuration import settings_from
from metrics_apiserver.settings import Settings
from tests.conftest import environ

WRITTEN = [
    pytest.param("", "", id="nothing"),
    pytest.param(",", [""], id="a comma"),
    pytest.param(" ", " ", id="a blank"),
    pytest.param(", ,", ["", " "], id="blanks"),
]


def load(folder: Path, name: str, flag: str | None = None, listed: object = None) -> Settings:
    """Read a setting from a variable, as flags are, or from a file."""
    (folder / "kubeconfig").write_text("{}", encoding="utf-8")
    variables = {"provider": "writable", "kubeconfig": str(folder / "kubeconfig")}
    if flag is not None:
        return settings_from(environ(**variables, **{name: flag}))
    first, *rest = name.split("_")
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({first + "".join(map(str.title, rest)): listed}), encoding="utf-8")
    return settings_from(environ(**variables, config=str(path)))


@pytest.mark.parametrize(
    ("section", "name", "keeps"),
    [
        pytest.param("authentication", "requestheader_allowed_names", True, id="empty: any name"),
        pytest.param("authentication", "api_audiences", True, id="empty: the audiences of the cluster's API"),
        pytest.param("authentication", "requestheader_username_headers", False, id="empty: nobody is named"),
        pytest.param("authentication", "requestheader_group_headers", False, id="empty: no group is named"),
        pytest.param("authentication", "requestheader_extra_headers_prefix", False, id="empty: nothing more is told"),
        pytest.param("authorization", "authorization_always_allow_paths", False, id="empty: no path"),
    ],
)
@pytest.mark.parametrize(("flag", "listed"), WRITTEN)
def test_blanks_are_kept_where_an_empty_list_allows_more(
    section: str, name: str, keeps: bool, flag: str, listed: Any, tmp_path: Path
) -> None:
    """Elsewhere they are left out, which never lets anybody do more."""
    for settings in (load(tmp_path, name, flag), load(tmp_path, name, listed=listed)):
        found = getattr(getattr(settings, section), name)
        assert not any(found)
        assert bool(found) == (keeps and flag != "")


def test_blanks_around_a_text_go(tmp_path: Path) -> None:
    name = "requestheader_allowed_names"
    for settings in (load(tmp_path, name, " front , proxy"), load(tmp_path, name, listed=[" front ", "proxy"])):
        assert settings.authentication.requestheader_allowed_names == ("front", "proxy")


def test_a_blank_cipher_suite_is_no_default(tmp_path: Path) -> None:
    """Go refuses it, too: somebody meant to narrow what is served."""
    suites = load(tmp_path, "tls_cipher_suites", ",").serving.tls_cipher_suites
    assert suites == ("", "")
    assert all("there is no such suite" in problem.sentence for problem in cipher_problems(suites))
    assert load(tmp_path, "tls_cipher_suites", "").serving.tls_cipher_suites == ()
