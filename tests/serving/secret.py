"""A mounted Secret with a certificate and its key."""

from __future__ import annotations

from pathlib import Path

from tests.controlplane.certificates import Certificate
from tests.mounts import Mount

NAMES = ("tls.crt", "tls.key")


class Secret:
    """The folder that a pod sees."""

    def __init__(self, folder: Path) -> None:
        self._mount = Mount(folder)

    @property
    def files(self) -> tuple[Path, Path]:
        return self._mount.folder / NAMES[0], self._mount.folder / NAMES[1]

    def put(self, pair: Certificate, *, key: bytes | None = None) -> None:
        """Swap in a pair, or what is none."""
        self._mount.put(dict(zip(NAMES, (pair.certificate_pem, key or pair.key_pem), strict=True)))
