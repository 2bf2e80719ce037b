"""Whether the address can be listened on, looked at before anything is started: gunicorn would try for five seconds."""

from __future__ import annotations

import errno
import os
import socket

from metrics_apiserver.configuration import located
from metrics_apiserver.settings import Problem, Settings, setting

__all__ = ["port_problems"]

# Listening sockets that are handed over, by another master of gunicorn's or by systemd.
_HANDED_OVER = ("GUNICORN_FD", "LISTEN_FDS")


def port_problems(settings: Settings) -> list[Problem]:
    """Return what is wrong with the address and the port, with the flag that says another."""
    serving = settings.serving
    if any(name in os.environ for name in _HANDED_OVER):
        return []
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            serving.bind_address, serving.secure_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gunicorn does: what is left of old connections is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return located(settings, [_problem(settings, error)])
    return []


def _problem(settings: Settings, error: OSError) -> Problem:
    port, address = settings.serving.secure_port, settings.serving.bind_address
    match error.errno:
        case errno.EADDRINUSE:
            return setting("secure_port").problem("something listens there already; name another port, or end it", port)
        case errno.EACCES:
            return setting("secure_port").problem("this user may not listen there; name a port above 1023", port)
    return setting("bind_address").problem(f"nothing can listen there ({error.strerror})", address)
