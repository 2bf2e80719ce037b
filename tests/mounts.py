"""A mounted Secret or ConfigMap: files that are links through `..data`, which kubelet swaps as a whole.

After k8s.io/kubernetes/pkg/volume/util/atomic_writer.go: a folder named after the time, `..data_tmp` renamed over
`..data`, and the folder before removed.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Mount"]


class Mount:
    """The folder that a pod sees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._count = itertools.count()

    def put(self, files: Mapping[str, bytes]) -> None:
        """Swap in these files."""
        data = self.folder / "..data"
        before = data.readlink() if data.is_symlink() else None
        fresh = Path(f"..2026_11_21_12_00_00.{next(self._count)}")
        (self.folder / fresh).mkdir()
        for name, content in files.items():
            (self.folder / fresh / name).write_bytes(content)
        (self.folder / "..data_tmp").symlink_to(fresh)
        (self.folder / "..data_tmp").replace(data)
        for name in files:
            path = self.folder / name
            if not path.is_symlink():
                path.symlink_to(Path("..data") / name)
        if before is not None:
            shutil.rmtree(self.folder / before)
