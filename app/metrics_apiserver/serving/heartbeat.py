"""The folder of the file in which the worker shows gunicorn's master that its loop turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from metrics_apiserver.settings import Problem

__all__ = ["heartbeat_folder"]

# In memory: the root file system may be read-only, and a slow disk would hold the loop up.
_SHARED_MEMORY = ("/dev/shm",)  # noqa: S108 - the file is made with a name that nobody can guess, and unlinked


def heartbeat_folder(preferred: Sequence[str] | None = None) -> tuple[str | None, list[Problem]]:
    """Find a folder that takes a file, and say what is wrong if none does.

    Any of them may be missing, read-only or full; gunicorn would end the start with a traceback.
    """
    causes = []
    for folder in (*(_SHARED_MEMORY if preferred is None else preferred), None):
        try:
            chosen = folder or tempfile.gettempdir()
            # What gunicorn does with it.
            with tempfile.NamedTemporaryFile(prefix="metrics-apiserver-", dir=chosen):
                return chosen, []
        except OSError as error:
            causes.append(f"{folder or 'the temporary folder'}: {error.strerror or error}")
    return None, [
        Problem(
            "no folder takes the file of the worker's heartbeat: mount a writable one (an emptyDir) at /dev/shm or"
            f" /tmp, or name one in TMPDIR ({'; '.join(causes)})"
        )
    ]
