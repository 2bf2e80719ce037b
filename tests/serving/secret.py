"""A mounted Secret: files that are links through `..data`, which kubelet swaps as a whole.

After k8s.io/kubernetes/pkg/volume/util/atomic_writer.go: a folder named after the time, `..data_tmp` renamed over
`..data`, and the folder before removed.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

from tests.controlplane.certificates import Certificate

NAMES = ("tls.crt", "tls.key")


class Secret:
    """The folder that a pod sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._count = itertools.count()

    @property
    def files(self) -> tuple[Path, Path]:
        return self._folder / NAMES[0], self._folder / NAMES[1]

    def put(self, pair: Certificate, *, key: bytes | None = None) -> None:
        """Swap in a pair, or what is none."""
        data = self._folder / "..data"
        before = data.readlink() if data.is_symlink() else None
        fresh = Path(f"..2026_11_21_12_00_00.{next(self._count)}")
        (self._folder / fresh).mkdir()
        for name, content in zip(NAMES, (pair.certificate_pem, key or pair.key_pem), strict=True):
            (self._folder / fresh / name).write_bytes(content)
        (self._folder / "..data_tmp").symlink_to(fresh)
        (self._folder / "..data_tmp").replace(data)
        for path in self.files:
            if not path.is_symlink():
                path.symlink_to(Path("..data") / path.name)
        if before is not None:
            shutil.rmtree(self._folder / before)
