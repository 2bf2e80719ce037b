"""Globs for names, as the configuration has them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

__all__ = ["Fits", "one_of"]

Fits = Callable[[str], object]


def one_of(globs: Sequence[str], *, any_case: bool = False) -> Fits:
    """Compile globs of which one has to fit, with `any_case` whatever the case of the name."""
    return re.compile("|".join(map(fnmatch.translate, globs)), re.IGNORECASE if any_case else 0).match
