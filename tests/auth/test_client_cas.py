"""The CAs in force: where they come from, how they change, and what happens when they cannot be read."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from metrics_apiserver.auth.client_cas import ClientCAs
from metrics_apiserver.configuration import settings_from
from metrics_apiserver.files import FileFollower
from metrics_apiserver.settings import AuthenticationSettings
from tests.auth.making import der, root
from tests.conftest import environ

LOGGER = logging.getLogger("metrics_apiserver.tests")
ONE, TWO, THREE = root("one"), root("two"), root("three")


def pem(*certificates: object) -> str:
    return "".join(each.certificate_pem.decode() for each in certificates)


def config_map(**changes: str) -> dict[str, str]:
    """The ConfigMap as a kube-apiserver writes it."""
    return {
        "client-ca-file": pem(ONE),
        "requestheader-client-ca-file": pem(TWO),
        "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
        "requestheader-username-headers": json.dumps(["X-Remote-User"]),
        "requestheader-uid-headers": json.dumps(["X-Remote-Uid"]),
        "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
        "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
    } | {name.replace("_", "-"): value for name, value in changes.items()}


def client_cas(**settings: object) -> ClientCAs:
    return ClientCAs(AuthenticationSettings(**settings), LOGGER)


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    path.write_text(pem(THREE))
    return path


def test_the_config_map_says_both() -> None:
    cas = client_cas()
    assert cas.from_cluster
    assert not cas.complete
    assert not cas.in_force.client
    assert not cas.in_force.proxy
    cas.use_config_map(config_map())
    in_force = cas.in_force
    assert cas.complete
    assert (in_force.client.ders, in_force.proxy.ders) == ((der(ONE),), (der(TWO),))
    assert in_force.headers.allowed_names == ("front-proxy-client",)
    assert in_force.headers.username == ("X-REMOTE-USER",)
    assert in_force.headers.uid == ("X-REMOTE-UID",)
    assert in_force.headers.group == ("X-REMOTE-GROUP",)
    assert in_force.headers.extra_prefix == ("X-REMOTE-EXTRA-",)
    assert in_force.ders == (der(ONE), der(TWO))


def test_a_flag_stands_for_its_part_of_the_config_map(file: Path) -> None:
    cas = client_cas(client_ca_file=str(file))
    cas.read_files()
    assert cas.from_cluster
    cas.use_config_map(config_map())
    assert (cas.in_force.client.ders, cas.in_force.proxy.ders) == ((der(THREE),), (der(TWO),))


def test_the_other_flag_brings_the_header_names_along(file: Path) -> None:
    cas = client_cas(requestheader_client_ca_file=str(file), requestheader_username_headers=("x-ours",))
    cas.read_files()
    cas.use_config_map(config_map())
    assert (cas.in_force.client.ders, cas.in_force.proxy.ders) == ((der(ONE),), (der(THREE),))
    assert cas.in_force.headers.username == ("X-OURS",)
    assert cas.in_force.headers.allowed_names == ()


@pytest.mark.parametrize(
    ("settings", "lookup"),
    [
        pytest.param({}, True, id="no flag"),
        pytest.param({"client_ca_file": "a"}, True, id="one flag"),
        pytest.param({"client_ca_file": "a", "requestheader_client_ca_file": "a"}, False, id="both flags"),
        pytest.param({"authentication_skip_lookup": True}, False, id="a lookup that is not wanted"),
        pytest.param({"authentication_tolerate_lookup_failure": True}, True, id="a lookup that may fail"),
    ],
)
def test_the_config_map_is_read_where_a_flag_is_missing(settings: Mapping[str, object], lookup: bool) -> None:
    cas = client_cas(**settings)
    assert (cas.from_cluster, cas.complete) == (lookup, not lookup)


def test_a_change_is_a_new_generation_and_the_same_again_is_none() -> None:
    cas = client_cas()
    cas.use_config_map(config_map())
    before = cas.in_force
    cas.use_config_map(config_map())
    assert cas.in_force is before
    cas.use_config_map(config_map(client_ca_file=pem(ONE, THREE)))
    assert cas.in_force.generation > before.generation
    assert cas.in_force.client.ders == (der(ONE), der(THREE))
    assert cas.in_force.proxy is before.proxy
    # Whoever holds the old one goes on with both of its parts.
    assert before.client.ders == (der(ONE),)


@pytest.mark.parametrize("value", [pytest.param("", id="empty"), pytest.param(" \n", id="blank")])
def test_an_empty_ca_is_off(value: str) -> None:
    cas = client_cas()
    cas.use_config_map(config_map())
    cas.use_config_map(config_map(client_ca_file=value, requestheader_client_ca_file=value))
    assert not cas.in_force.client
    assert not cas.in_force.proxy
    assert cas.in_force.ders == ()


def test_a_config_map_of_nothing_is_read_all_the_same() -> None:
    cas = client_cas()
    cas.use_config_map({})
    assert cas.complete
    assert cas.in_force.ders == ()


@pytest.mark.parametrize(
    ("written", "names"),
    [
        pytest.param(None, (), id="left out: any"),
        pytest.param("", (), id="empty: any"),
        pytest.param("[]", (), id="an empty list: any"),
        pytest.param("null", (), id="null, which is Go's empty list: any"),
        pytest.param('[""]', ("",), id="an empty text: nobody"),
        pytest.param('[" "]', (" ",), id="a blank: nobody"),
        pytest.param('["", "\\t"]', ("", "\t"), id="blanks: nobody"),
        pytest.param("[null]", ("",), id="null in a list, which is Go's empty text: nobody"),
        pytest.param('["", "front"]', ("", "front"), id="a name beside an empty text"),
    ],
)
def test_allowed_names_are_any_only_where_there_is_no_list(written: str | None, names: tuple[str, ...]) -> None:
    cas, data = client_cas(), config_map()
    data.pop("requestheader-allowed-names")
    cas.use_config_map(data if written is None else {**data, "requestheader-allowed-names": written})
    headers = cas.in_force.headers
    assert headers.allowed_names == names
    assert headers.allows("anybody") == (not names)
    assert headers.allows("front") == (not names or "front" in names)


@pytest.mark.parametrize(
    ("flag", "anybody"),
    [("", True), (",", False), (" ", False), (" , ", False), (",front", False), ("front", False)],
    ids=["nothing", "a comma", "a blank", "blanks", "a name after a comma", "a name"],
)
def test_the_flag_of_allowed_names_is_any_only_where_it_is_empty(flag: str, anybody: bool, file: Path) -> None:
    variables = environ(
        requestheader_allowed_names=flag,
        requestheader_client_ca_file=str(file),
        kubeconfig=str(file),
        provider="writable",
    )
    settings = settings_from(variables)
    cas = ClientCAs(settings.authentication, LOGGER)
    cas.read_files()
    assert cas.in_force.headers.allows("anybody") == anybody


@pytest.mark.parametrize("written", ["{}", "false", "0", '""', "[1]", "[[]]", '["a", {}]'])
def test_names_that_are_no_list_of_texts_are_not_in_use(written: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was in use stays; at first that is nothing, and the front proxy is nobody."""
    cas = client_cas()
    problem = cas.use_config_map({**config_map(), "requestheader-allowed-names": written})
    assert problem == (
        "the ConfigMap's requestheader-client-ca-file cannot be used:"
        " requestheader-allowed-names is not a list of names"
    )
    assert not cas.in_force.proxy
    assert cas.use_config_map(config_map()) is None


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        pytest.param({"client_ca_file": "garbage"}, "client", id="no CA"),
        pytest.param({"client_ca_file": "日本"}, "client", id="no ASCII"),
        pytest.param({"requestheader_client_ca_file": "garbage"}, "proxy", id="no CA of the front proxy"),
        pytest.param({"requestheader_allowed_names": "a,b"}, "proxy", id="names that are no JSON"),
        pytest.param({"requestheader_allowed_names": '"a"'}, "proxy", id="names that are no list"),
        pytest.param({"requestheader_username_headers": "[1]"}, "proxy", id="headers that are no texts"),
        pytest.param({"requestheader_allowed_names": "[" * 100_000}, "proxy", id="names that are too deep"),
    ],
)
def test_what_cannot_be_read_leaves_the_old_one(
    changes: dict[str, str], kept: str, caplog: pytest.LogCaptureFixture
) -> None:
    cas = client_cas()
    cas.use_config_map(config_map())
    before = cas.in_force
    for _ in range(2):
        cas.use_config_map(
            config_map(client_ca_file=pem(THREE), requestheader_client_ca_file=pem(THREE))
            | {name.replace("_", "-"): value for name, value in changes.items()}
        )
    assert getattr(cas.in_force, kept) is getattr(before, kept)
    assert cas.in_force.headers == before.headers
    other = cas.in_force.proxy if kept == "client" else cas.in_force.client
    assert other.ders == (der(THREE),)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "what was in use stays" in warning.getMessage()


def test_a_file_that_breaks_is_warned_of_once_and_taken_up_when_it_is_whole(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cas = client_cas(client_ca_file=str(file), requestheader_client_ca_file=str(file))
    cas.read_files()
    for content in ("garbage", "garbage", ""):
        file.write_text(content)
        cas.read_files()
    file.unlink()
    cas.read_files()
    assert cas.in_force.client.ders == cas.in_force.proxy.ders == (der(THREE),)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    # Of one file: garbage, empty, and gone. The other flag names the same file.
    assert len(warnings) == len(set(warnings)) == 3
    file.write_text(pem(ONE))
    cas.read_files()
    assert cas.in_force.client.ders == cas.in_force.proxy.ders == (der(ONE),)


@pytest.fixture(name="follow")
def _follow(file: Path) -> Iterator[ClientCAs]:
    """The CAs of a file that is followed."""
    cas = client_cas(client_ca_file=str(file), authentication_skip_lookup=True)
    cas.read_files()
    follower = FileFollower(cas.files, cas.read_files, LOGGER, name="client-ca-files")
    follower.start()
    yield cas
    begin = time.monotonic()
    follower.stop()
    assert time.monotonic() - begin < 2
    assert not any(thread.name == "client-ca-files" for thread in threading.enumerate())


def wait_for(cas: ClientCAs, *expected: bytes) -> None:
    deadline = time.monotonic() + 10
    while cas.in_force.client.ders != expected:
        assert time.monotonic() < deadline, "the file was not read again"
        time.sleep(0.01)


def test_a_file_is_followed(follow: ClientCAs, file: Path) -> None:
    file.write_text(pem(ONE))
    wait_for(follow, der(ONE))
    # As an editor does it.
    other = file.with_suffix(".new")
    other.write_text(pem(TWO, ONE))
    other.rename(file)
    wait_for(follow, der(TWO), der(ONE))


def test_a_mounted_secret_is_followed(tmp_path: Path) -> None:
    """The kubelet swaps a link to a folder; the file itself never changes."""
    for name, authority in (("1", ONE), ("2", TWO)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ca.crt").write_text(pem(authority))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "ca.crt").symlink_to("..data/ca.crt")
    cas = client_cas(client_ca_file=str(tmp_path / "ca.crt"), authentication_skip_lookup=True)
    cas.read_files()
    follower = FileFollower(cas.files, cas.read_files, LOGGER, name="client-ca-files")
    follower.start()
    try:
        wait_for(cas, der(ONE))
        (tmp_path / "..new").symlink_to("2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        wait_for(cas, der(TWO))
    finally:
        follower.stop()


def test_a_folder_that_goes_away_and_comes_back_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "ca.crt"
    file.write_text(pem(ONE))
    cas = client_cas(client_ca_file=str(file), authentication_skip_lookup=True)
    cas.read_files()
    follower = FileFollower(cas.files, cas.read_files, LOGGER, name="client-ca-files")
    folder.rename(tmp_path / "away")
    follower.start()
    try:
        folder.mkdir()
        file.write_text(pem(TWO))
        wait_for(cas, der(TWO))
    finally:
        follower.stop()


def test_without_files_nothing_runs() -> None:
    follower = FileFollower([], lambda: None, LOGGER, name="client-ca-files")
    follower.start()
    follower.stop()
    assert not any(thread.name == "client-ca-files" for thread in threading.enumerate())
