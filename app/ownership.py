"""Whose are the import names `app` and `providers`?

They are common names, and pip lets one wheel overwrite another's files without a word.
"""

from __future__ import annotations

import re
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions

__all__ = ["check"]

NAMES = ("app", "providers")


def check() -> list[str]:
    """Say which of our import names a second distribution ships as well. Empty when each has one owner."""
    owners: dict[str, dict[str, str]] = {name: {} for name in NAMES}
    for distribution in distributions():
        for name in _top_level(distribution).intersection(NAMES):
            if found := _name_and_version(distribution):
                # An editable install is there twice: its metadata in the checkout, and in the environment.
                owners[name].setdefault(re.sub(r"[-_.]+", "-", found[0]).lower(), " ".join(found))
    return [
        f"the import name {name} belongs to several installed distributions, {' and '.join(sorted(them.values()))}:"
        " one may have replaced the other's files; install metrics-apiserver into an environment of its own"
        for name, them in owners.items()
        if len(them) > 1
    ]


def _top_level(distribution: Distribution) -> set[str]:
    """Give what can be imported of a distribution: what its builder declared, and what its installer recorded.

    The library's `packages_distributions` gives up on the first distribution whose metadata cannot be read.
    """
    declared = _read(distribution, "top_level.txt").split()
    recorded = _read(distribution, "RECORD").splitlines()
    return {*declared, *(re.split(r"[/,]", row, maxsplit=1)[0].removesuffix(".py") for row in recorded)}


def _name_and_version(distribution: Distribution) -> tuple[str, str] | None:
    """Give its name and version; None for what an interrupted removal left behind."""
    text = _read(distribution, "METADATA") or _read(distribution, "PKG-INFO")
    metadata = HeaderParser().parsestr(text)
    name = metadata.get("Name")
    return (name, metadata.get("Version", "of unknown version")) if name else None


def _read(distribution: Distribution, name: str) -> str:
    try:
        return distribution.read_text(name) or ""
    except UnicodeDecodeError:
        return ""  # somebody else's broken file is no reason not to start
