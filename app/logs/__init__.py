"""The log: one pipeline for our own lines, gunicorn's and the libraries'; text to read, or JSON.

A line is one event. Whatever a client can choose is escaped, so that it makes no second line, and what lets somebody in
(tokens, cookies, passwords) is hidden before it is written. Nothing here knows HTTP's meaning, Flask or a provider.
"""

from app.logs.hiding import HIDDEN, hide_secrets, shown_body, shown_headers, shown_target
from app.logs.levels import BODIES, DECISIONS, HEADERS, URLS, level_of
from app.logs.setup import EventLogger, configure, flush, get_logger

__all__ = [
    "BODIES",
    "DECISIONS",
    "HEADERS",
    "HIDDEN",
    "URLS",
    "EventLogger",
    "configure",
    "flush",
    "get_logger",
    "hide_secrets",
    "level_of",
    "shown_body",
    "shown_headers",
    "shown_target",
]
