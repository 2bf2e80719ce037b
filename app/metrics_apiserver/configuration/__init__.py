"""The configuration: flags, environment and a YAML file, read once and checked as a whole.

Precedence: flag, `METRICS_APISERVER_*`, file (`--config`), default. `metrics-apiserver serve` hands its flags on as
environment variables, so that `gunicorn wsgi:app` and the command read the same settings by the same code.
"""

from metrics_apiserver.configuration.failing import START_FAILED, say, say_error
from metrics_apiserver.configuration.last_good import begin, has_served, keep, remember, remembered, served
from metrics_apiserver.configuration.reading import load, located, read, settings_from

__all__ = [
    "START_FAILED",
    "begin",
    "has_served",
    "keep",
    "load",
    "located",
    "read",
    "remember",
    "remembered",
    "say",
    "say_error",
    "served",
    "settings_from",
]
