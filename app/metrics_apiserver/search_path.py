"""The working folder is the last place where modules are looked for, not the first, where gunicorn puts it.

To be imported before other packages: a `yaml.py` of the user's, in whose folder the server is started, would be taken
for the package of that name. What is found nowhere else, as a module of functions, still comes from there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["move_working_folder_to_the_end"]


def move_working_folder_to_the_end() -> None:
    """Change `sys.path`; does nothing where the working folder is not on it, or was removed."""
    try:
        working = Path.cwd()
    except FileNotFoundError:
        return
    others = [entry for entry in sys.path if entry and Path(entry) != working]
    if len(others) < len(sys.path):
        sys.path[:] = [*others, os.fspath(working)]


move_working_folder_to_the_end()
