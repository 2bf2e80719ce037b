"""gunicorn's settings as module-level names: `gunicorn -c python:metrics_apiserver.serving.config
metrics_apiserver.wsgi:app`.

gunicorn reads this module in the master, before the fork: every problem of the configuration is said here, all at once,
and nothing is started.
"""

from __future__ import annotations

import metrics_apiserver.descriptors
import metrics_apiserver.search_path  # noqa: F401 - before whatever imports a package

# isort: split
import os

from metrics_apiserver.concurrency.budget import THREADS
from metrics_apiserver.configuration import START_FAILED, load, remember, say
from metrics_apiserver.embedded import curl_lines, is_embedded
from metrics_apiserver.serving.certificates import load_certificate
from metrics_apiserver.serving.connection import Deadlines
from metrics_apiserver.serving.heartbeat import heartbeat_folder
from metrics_apiserver.serving.hooks import Hooks
from metrics_apiserver.serving.hooks import bind as _bind
from metrics_apiserver.serving.log import level_name, log_class
from metrics_apiserver.serving.pairs import Pair
from metrics_apiserver.serving.ports import port_problems
from metrics_apiserver.serving.stopping import Reloads
from metrics_apiserver.serving.worker import WorkerOptions
from metrics_apiserver.serving.worker import worker_class as _worker_class
from metrics_apiserver.settings import Settings

__all__ = [
    "accesslog",
    "bind",
    "certfile",
    "child_exit",
    "control_socket_disable",
    "errorlog",
    "forwarded_allow_ips",
    "forwarder_headers",
    "graceful_timeout",
    "header_map",
    "http_parser",
    "http_protocols",
    "keepalive",
    "keyfile",
    "limit_request_fields",
    "limit_request_line",
    "logger_class",
    "loglevel",
    "max_requests",
    "nworkers_changed",
    "on_reload",
    "on_starting",
    "post_fork",
    "post_worker_init",
    "proc_name",
    "ssl_context",
    "threads",
    "timeout",
    "worker_class",
    "worker_connections",
    "worker_exit",
    "worker_tmp_dir",
    "workers",
]


def _load() -> tuple[Settings, Pair, str | None]:
    settings, problems = load(os.environ)
    pair, further = load_certificate(settings, make=True)
    problems += further
    folder, further = heartbeat_folder()
    problems += further
    problems += port_problems(settings)
    if problems or pair is None:
        say(problems)
        raise SystemExit(START_FAILED)
    remember(settings)
    return settings, pair, folder


def _lines_to_try(settings: Settings, pair: Pair) -> list[str]:
    if not is_embedded(settings):
        return []
    serving = settings.serving
    return curl_lines(_bind(serving), pair.contents.cert_file, given=bool(serving.tls_cert_file))


_settings, _pair, _folder = _load()
_reloads = Reloads()
_hooks = Hooks(_settings, _pair, _reloads, to_try=_lines_to_try(_settings, _pair))

proc_name = "metrics-apiserver"
bind = _bind(_settings.serving)
# Without these two gunicorn would serve plain HTTP, whatever its ssl_context hook gives.
certfile, keyfile = str(_pair.contents.cert_file), str(_pair.contents.key_file)

# One worker: providers hold state, and pollers run once. More throughput is more replicas.
worker_class = _worker_class(
    WorkerOptions(
        # A second or two for the way of an answer that took all the time it had.
        deadlines=Deadlines(answer=_settings.serving.request_timeout + 2.0),
        shutdown_delay=_settings.serving.shutdown_delay_duration,
        reloads=_reloads,
    )
)
workers = 1
worker_connections = _settings.serving.max_connections
# Enough that some are left when providers and the cluster hang: `budget` says how many may wait for whom.
threads = THREADS
max_requests = 0
timeout = 30
# Counted by the master from the signal on.
graceful_timeout = 25 + round(_settings.serving.shutdown_delay_duration)
# Longer than Go's clients keep an idle connection (90 s), so that it is they who close it.
keepalive = 120
worker_tmp_dir = _folder
control_socket_disable = True

# The C parser accepts what this one refuses (bare line feeds, folded headers).
http_parser = "python"
http_protocols = "h1"
# Long label selectors are part of the query; a user in many groups has a header field for each.
limit_request_line = 8190
limit_request_fields = 1000
# No proxy rewrites the path or the scheme here. The address is one for documentation, and routed nowhere.
forwarder_headers = ""
forwarded_allow_ips = "192.0.2.1"
header_map = "drop"

logger_class = log_class(_settings.logging, _settings.cluster.mode)
loglevel = level_name(_settings.logging.v)
errorlog = "-"
accesslog = None

on_starting = _hooks.on_starting
on_reload = _hooks.on_reload
nworkers_changed = _hooks.nworkers_changed
post_fork = _hooks.post_fork
child_exit = _hooks.child_exit
post_worker_init = _hooks.post_worker_init
worker_exit = _hooks.worker_exit
ssl_context = _hooks.ssl_context
