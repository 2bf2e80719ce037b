"""The log: gunicorn's and ours in one format, on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any

from gunicorn import glogging

__all__ = ["Log", "level_name"]

_WARNINGS_ONLY = 1
_DEBUG = 4


def level_name(verbosity: int) -> str:
    """Give gunicorn's level for a verbosity as klog counts."""
    if verbosity <= _WARNINGS_ONLY:
        return "warning"
    return "debug" if verbosity >= _DEBUG else "info"


class Log(glogging.Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's logger, whose format and level also hold for the loggers of the application and its libraries."""

    error_fmt = "%(asctime)s.%(msecs)03d %(levelname)-7s [%(process)d] %(name)s: %(message)s"
    datefmt = "%Y-%m-%dT%H:%M:%S"

    def setup(self, cfg: Any) -> None:
        """Set the loggers up, again on a reload."""
        super().setup(cfg)
        # Anew, not kept: gunicorn removes only the handlers of its own two loggers.
        for handler in [handler for handler in logging.root.handlers if isinstance(handler, _Handler)]:
            logging.root.removeHandler(handler)
        handler = _Handler(sys.stderr)
        handler.setFormatter(logging.Formatter(self.error_fmt, self.datefmt))
        logging.root.addHandler(handler)
        # Libraries' debug messages hold whole bodies, tokens among them.
        logging.root.setLevel(max(self.loglevel, logging.INFO))
        for name in ("app", "providers"):
            logging.getLogger(name).setLevel(self.loglevel)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers only
    """Marks the handler as ours."""
