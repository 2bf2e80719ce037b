"""How a start fails: one form, and one exit status, whoever finds out why."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence

__all__ = ["START_FAILED", "say", "say_error"]

# The exit status of a start that fails, for a reason of the configuration or of what it names.
START_FAILED = 1

_logger = logging.getLogger("metrics_apiserver")


def say(problems: Sequence[object], *, program: str = "metrics-apiserver") -> None:
    """Say on stderr what is wrong; each problem is a line."""
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    # Where nothing can be written, the exit status says that much.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{program}: the configuration has {count}:\n")
        sys.stderr.writelines(f"  - {problem}\n" for problem in problems)
        sys.stderr.flush()


def say_error(error: Exception, *, program: str = "metrics-apiserver") -> None:
    """Say what a provider, or the cluster's configuration, has against a start; its traceback is for `-v 4`."""
    say(getattr(error, "problems", None) or [error], program=program)
    if error.__cause__ is not None:
        _logger.debug("what was raised", exc_info=error.__cause__)
