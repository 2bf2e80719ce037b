"""Distributions with entry points, laid out in a folder of the path as pip does it."""

from __future__ import annotations

from pathlib import Path

from metrics_apiserver.provider.kinds import ENTRY_POINT_GROUP

__all__ = ["install_providers"]


def install_providers(folder: Path, name: str, *entry_points: str, version: str = "1.0") -> None:
    """Install a distribution of this name, with providers as `kind = module:Class`; their modules are the caller's."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    lines = "".join(f"{each}\n" for each in entry_points)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{lines}", encoding="utf-8")
