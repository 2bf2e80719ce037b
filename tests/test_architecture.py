"""docs/architecture.md names what there is, and a read passes what the page says, in its order."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from werkzeug.test import Client

from metrics_apiserver.server import MetricsServer
from tests.answering.plain import plain
from tests.conformance import recorded
from tests.conftest import asker

PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
WAYS = PAGE.partition("## Five ways")[2].partition("## Where what is")[0]
NAMED = re.compile(r"`((?:[a-z_]+\.)+[A-Za-z_]\w*(?:\.\w+)*)`")
BY_NAME = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/cart-0/packets-per-second"


def found(name: str) -> Any:
    """Import what a name of the page means: in the server's package, unless it begins with the other one's."""
    whole = name if name.startswith("metrics_apiserver") else f"metrics_apiserver.{name}"
    module, rest = whole, []
    while True:
        try:
            found: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
    for attribute in rest:
        found = getattr(found, attribute)
    return found


@pytest.mark.parametrize("name", sorted(set(NAMED.findall(WAYS)) - {"serving.config"}))
def test_every_name_on_a_way_is_there(name: str) -> None:
    assert found(name) is not None


def test_every_row_of_the_table_is_a_file_or_a_folder() -> None:
    """And every package of the server has a row."""
    root = Path(__file__).parents[1]
    package = root / "app" / "metrics_apiserver"
    rows = re.findall(
        r"^\| ((?:`[^`]+`(?:, )?)+) \|", PAGE.partition("## Where what is")[2].partition("Where to add")[0], re.M
    )
    names = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    missing = {name for name in names if not (package / name).exists() and not (root / name).exists()}
    assert missing == set()
    folders = {each.name for each in package.iterdir() if (each / "__init__.py").exists()}
    modules = {each.name for each in package.glob("*.py")} - {"__init__.py", "cli.py", "wsgi.py"}
    assert folders | modules <= names


def test_a_read_by_name_passes_what_the_page_says_in_its_order(server: MetricsServer) -> None:
    """From the application's door to the line in the log; what serving does has its own tests."""
    recorded.write_all(asker(Client(server)))
    way = WAYS.partition("### A read by name")[2].partition("### ")[0]
    named = [
        name for name in NAMED.findall(way) if not name.startswith(("serving.", "errors.")) and callable(found(name))
    ]
    # What is a class is made on the way; and nobody is judged without a cluster.
    functions = {found(name).__code__: name for name in named if hasattr(found(name), "__code__")}
    functions = {code: name for code, name in functions.items() if not name.startswith("auth.")}
    plain(server, BY_NAME)
    passed: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in functions:
            passed.append(functions[frame.f_code])

    sys.setprofile(note)
    try:
        answer = plain(server, BY_NAME)
    finally:
        sys.setprofile(None)
    assert answer is not None
    assert answer.code == 200
    assert passed == list(functions.values())
