"""What is logged at which verbosity: klog's numbers as levels of the standard library, which has fewer of them."""

from __future__ import annotations

import logging

__all__ = ["BODIES", "DECISIONS", "HEADERS", "URLS", "level_of", "word_of"]

# `-v 2` is INFO; each of these is the level of one more even number.
DECISIONS = logging.DEBUG  # -v 4
URLS = 8  # -v 6: what is asked of the cluster
HEADERS = 6  # -v 8
BODIES = 4  # -v 10

_INFO_FROM, _DECISIONS_FROM = 2, 4


def level_of(verbosity: int) -> int:
    """Return the least level that is logged at a verbosity: warnings and errors always are."""
    if verbosity < _INFO_FROM:
        return logging.WARNING
    if verbosity < _DECISIONS_FROM:
        return logging.INFO
    return DECISIONS + _DECISIONS_FROM - verbosity


def word_of(level: int) -> str:
    """Return the word for a level, of which there are four."""
    if level >= logging.ERROR:
        return "error"
    if level >= logging.WARNING:
        return "warning"
    return "info" if level >= logging.INFO else "debug"
