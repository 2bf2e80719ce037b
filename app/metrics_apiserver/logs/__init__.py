"""The log: one pipeline for our own lines, gunicorn's and the libraries'; text to read, or JSON.

A line is one event. Whatever a client can choose is escaped, so that it makes no second line, and what lets somebody in
(tokens, cookies, passwords) is hidden before it is written, by a thread that nobody waits for. Nothing here knows Flask
or a provider.
"""

from metrics_apiserver.logs.bodies import shown_body
from metrics_apiserver.logs.formats import SHOWN
from metrics_apiserver.logs.hiding import HIDDEN, hide_secrets
from metrics_apiserver.logs.levels import BODIES, DECISIONS, HEADERS, URLS, level_of
from metrics_apiserver.logs.setup import EventLogger, configure, dropped_lines, flush, get_logger, show
from metrics_apiserver.logs.shown import shown_field, shown_headers, shown_method, shown_selector, shown_target

__all__ = [
    "BODIES",
    "DECISIONS",
    "HEADERS",
    "HIDDEN",
    "SHOWN",
    "URLS",
    "EventLogger",
    "configure",
    "dropped_lines",
    "flush",
    "get_logger",
    "hide_secrets",
    "level_of",
    "show",
    "shown_body",
    "shown_field",
    "shown_headers",
    "shown_method",
    "shown_selector",
    "shown_target",
]
