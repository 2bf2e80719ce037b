"""Free ports on loopback."""

import contextlib
import random
import socket
from pathlib import Path

__all__ = ["free_ports"]

FIRST = 10_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Pick ports that nobody listens on, below the range from which the kernel serves outgoing connections.

    So no connection takes a port between its choice and its use, nor while the apiserver is down for a restart.
    """
    last = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32_768
    candidates = random.sample(range(FIRST, last), k=100)
    free = [port for port in candidates if _is_free(port)]
    return free[:count]


def _is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
