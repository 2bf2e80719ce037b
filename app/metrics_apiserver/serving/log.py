"""gunicorn's logger, which writes into the one log of the process."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from gunicorn import glogging
from gunicorn.http import errors

from metrics_apiserver import logs
from metrics_apiserver.serving.refusals import described
from metrics_apiserver.settings import LoggingSettings

__all__ = ["Log", "level_name", "log_class"]

# What gunicorn raises when it cannot read a request.
_QUOTING = (errors.ParseException, errors.NoMoreData)


def level_name(verbosity: int) -> str:
    """Return gunicorn's level for a verbosity as klog counts; it has none below its debug."""
    return logging.getLevelName(max(logs.level_of(verbosity), logging.DEBUG)).lower()


class Log(glogging.Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's logger without a handler of its own: the root logger's writes its lines and everybody's."""

    settings: ClassVar[LoggingSettings] = LoggingSettings()
    # Said before anything else is.
    opening: ClassVar[str] = ""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        if self.opening:
            logging.getLogger("metrics_apiserver").info("%s", self.opening)

    def setup(self, cfg: Any) -> None:
        """Set the loggers up, again on a reload."""
        super().setup(cfg)
        logs.configure(verbosity=self.settings.v, as_json=self.settings.log_format == "json")
        if _describe not in self.error_log.filters:
            self.error_log.addFilter(_describe)
        for logger in (self.error_log, self.access_log):
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
            logger.propagate = True


def _describe(record: logging.LogRecord) -> bool:
    """Put our description in the place of an error of gunicorn's parser, which quotes what it could not read."""
    if isinstance(record.args, tuple) and any(isinstance(each, _QUOTING) for each in record.args):
        record.args = tuple(described(each) if isinstance(each, _QUOTING) else each for each in record.args)
    return True


def log_class(settings: LoggingSettings, opening: str) -> type[Log]:
    """Make the class that gunicorn makes its logger of: it can hand over nothing but its own configuration."""
    return type("Log", (Log,), {"settings": settings, "opening": opening})
