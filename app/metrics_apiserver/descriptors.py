"""The descriptors 0 to 2 are open, whatever a shell closed (`2>&-`): to be imported before anything else of ours.

Whoever opens a file gets the lowest number that is free: without this the listening socket, or what the log's writers
share, would be where everybody writes what goes wrong.
"""

from __future__ import annotations

import os
import sys

__all__ = ["fill"]


def fill() -> None:
    """Open the null device on those that are closed, and put a stream where Python found none to make."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            if opened != number:
                os.close(opened)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))


fill()
