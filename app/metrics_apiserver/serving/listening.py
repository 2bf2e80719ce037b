"""The listening side of the loop: new connections are taken as long as there is room for them."""

from __future__ import annotations

import errno
import logging
import selectors
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

__all__ = ["Listening"]

# Connections that are taken in a row before others have their turn.
_ACCEPTS = 16
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# Takes a connection: its socket, the peer's address, and the address that it came to.
Take = Callable[[socket.socket, Any, Any], None]
# Makes room for the connection that was just taken.
MakeRoom = Callable[[], None]


class Listening:
    """The listening sockets in the loop's poller; what is not taken waits in the kernel's backlog.

    `room` returns what makes room once a connection is taken, and None where none can be taken.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        poller: selectors.BaseSelector,
        log: logging.Logger,
        *,
        take: Take,
        room: Callable[[], MakeRoom | None],
    ) -> None:
        self._listeners = listeners
        self._poller = poller
        self._log = log
        self._take = take
        self._room = room
        self._open = False

    def open(self) -> None:
        """Take connections, if none are taken yet or any more."""
        if not self._open:
            for listener in self._listeners:
                listener.setblocking(False)  # noqa: FBT003 - the standard library takes it by position
                self._poller.register(listener, selectors.EVENT_READ, partial(self._accept, listener))
            self._open = True

    def pause(self) -> None:
        """Leave what comes in the backlog until the next `open`."""
        if self._open:
            for listener in self._listeners:
                self._poller.unregister(listener)
            self._open = False

    def end(self, has_room: Callable[[], bool]) -> None:
        """Take what is in the backlog as far as there is room, and close the listeners."""
        self.pause()
        for listener in self._listeners:
            while has_room() and self._accept_one(listener):
                pass
            listener.close()

    def close(self) -> None:
        """Close the listeners."""
        self.pause()
        for listener in self._listeners:
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS):
            make_room = self._room()
            if make_room is None:
                self.pause()
                break
            if not self._accept_one(listener):
                break
            make_room()

    def _accept_one(self, listener: socket.socket) -> bool:
        """Accept a connection, and return whether there was one."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                self._log.warning("cannot accept a connection: %s", error.strerror)
                # Until the loop opens it again: it would be tried again at once, and for ever.
                self.pause()
            return False
        self._take(client, address, listener.getsockname())
        return True
