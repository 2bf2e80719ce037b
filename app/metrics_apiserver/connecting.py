"""A TCP connection that is made in time: all addresses of a name, and looking the name up, share one deadline."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from urllib3.exceptions import LocationParseError
from urllib3.util.connection import allowed_gai_family

from metrics_apiserver.concurrency import Flights

__all__ = ["connect"]

# Look-ups under way, each of another name: the servers that are asked are named in the settings.
_MOST_LOOK_UPS = 32
_Addresses = Sequence[tuple[Any, ...]]

_under_way = Flights[tuple[str, int], Future[_Addresses]]()


def connect(
    host: str,
    port: int,
    left: Callable[[], float | None],
    *,
    source_address: tuple[str, int] | None = None,
    socket_options: Sequence[tuple[int, int, int | bytes]] | None = None,
) -> socket.socket:
    """Connect to the first address of a host that answers, as urllib3 does, but within the time that is left in all.

    An address may take as much of it as all those after it: one that is silent leaves time for the others. Raises
    socket.gaierror, TimeoutError, and OSError for what the last address says.
    """
    host = host.strip("[]") if host.startswith("[") else host
    try:
        host.encode("idna")
    except UnicodeError:
        raise LocationParseError(f"'{host}', label empty or too long") from None
    addresses = _look_up(host, port, left())
    problem = OSError("the name has no address")
    for number, address in enumerate(addresses):
        seconds = left()
        share = None if seconds is None else seconds / (len(addresses) - number)
        try:
            return _connect_to(address, share, source_address, socket_options or ())
        except OSError as error:
            problem = error
    try:
        raise problem
    finally:
        # It refers to this frame.
        del problem


def _connect_to(
    found: tuple[Any, ...],
    seconds: float | None,
    source_address: tuple[str, int] | None,
    options: Sequence[tuple[int, int, int | bytes]],
) -> socket.socket:
    family, kind, protocol, _name, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.settimeout(seconds)
        if source_address:
            sock.bind(source_address)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _look_up(host: str, port: int, seconds: float | None) -> _Addresses:
    """Return the addresses of a host.

    The resolver of the system has no deadline of ours, so that it is waited for on a thread of its own, which all share
    who ask for the same name.
    """
    try:
        return socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        # It is not an address.
        pass
    found, _new = _under_way.join((host, port), partial(_begin, host, port))
    try:
        return found.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(f"the resolver does not say in time where {host} is") from error


def _begin(host: str, port: int) -> Future[_Addresses]:
    if len(_under_way) >= _MOST_LOOK_UPS:
        raise TimeoutError("too many names are being looked up, and the resolver does not answer")
    found: Future[_Addresses] = Future()
    threading.Thread(target=_ask, args=(host, port, found), name="look-up", daemon=True).start()
    return found


def _ask(host: str, port: int, found: Future[_Addresses]) -> None:
    try:
        addresses = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001 - it is for those who wait
        found.set_exception(error)
    else:
        found.set_result(addresses)
    finally:
        _under_way.end((host, port), found)
