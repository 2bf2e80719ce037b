"""The list of packages in setup.cfg, which setuptools cannot find by itself in two source roots."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_of_the_two_source_roots_is_listed() -> None:
    """Whatever is missing would be missing from the wheel without a word."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    found = [
        ".".join(init.parent.relative_to(ROOT / root).parts)
        for root in ("app", "providers")
        for init in (ROOT / root).rglob("__init__.py")
    ]
    assert listed == sorted(found)
