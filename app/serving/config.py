"""gunicorn's settings as module-level names: `gunicorn -c python:app.serving.config wsgi:app`.

gunicorn reads this module in the master, before the fork: every problem of the configuration is said here, all at once,
and nothing is started.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app import registry
from app.serving.certificates import CertificateError, check_pair, ensure_certificate
from app.serving.hooks import Hooks
from app.serving.hooks import bind as _bind
from app.serving.log import level_name, log_class
from app.serving.tls import TLSError, build_context
from app.serving.worker import Worker
from app.settings import ServingSettings, Settings

__all__ = [
    "accesslog",
    "bind",
    "certfile",
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
    "on_starting",
    "post_worker_init",
    "pre_request",
    "proc_name",
    "ssl_context",
    "threads",
    "timeout",
    "when_ready",
    "worker_class",
    "worker_exit",
    "worker_tmp_dir",
    "workers",
]


def _certificate(serving: ServingSettings, problems: list[str]) -> tuple[Path, Path]:
    """Give the certificate's files, made if need be, and say what is wrong with them."""
    given = serving.tls_cert_file, serving.tls_private_key_file
    if any(given) and not all(path and os.access(path, os.R_OK) for path in given):
        # The settings say so already.
        return Path(), Path()
    try:
        cert, key = ensure_certificate(serving)
        found = check_pair(cert, key)
        if not found:
            build_context(cert, key, serving.tls_min_version)
    except (CertificateError, TLSError) as error:
        problems.append(str(error))
        return Path(), Path()
    problems += found
    return cert, key


def _load() -> tuple[Settings, Path, Path]:
    settings, problems = Settings.load(os.environ)
    problems += registry.check(settings.providers)
    cert, key = _certificate(settings.serving, problems)
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        sys.stderr.write(f"metrics-apiserver: the configuration has {count}:\n")
        sys.stderr.writelines(f"  - {problem}\n" for problem in problems)
        raise SystemExit(1)
    return settings, cert, key


_settings, _cert, _key = _load()
_hooks = Hooks(_settings, _cert, _key)

proc_name = "metrics-apiserver"
bind = _bind(_settings.serving)
# Without these two gunicorn would serve plain HTTP, whatever its ssl_context hook gives.
certfile, keyfile = str(_cert), str(_key)

# One worker: providers hold state, and pollers run once. More throughput is more replicas.
worker_class = Worker
workers = 1
threads = 16
max_requests = 0
timeout = 30
graceful_timeout = 25
# Longer than Go's clients keep an idle connection (90 s), so that it is they who close it.
keepalive = 120
# A file that beats in memory: the root file system may be read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - shared memory, files are unlinked
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
nworkers_changed = _hooks.nworkers_changed
when_ready = _hooks.when_ready
post_worker_init = _hooks.post_worker_init
worker_exit = _hooks.worker_exit
ssl_context = _hooks.ssl_context
pre_request = _hooks.pre_request
