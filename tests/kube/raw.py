"""A cluster at the level of bytes: each connection is served by a function, which may do what no cluster should."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterable

__all__ = ["Peer", "RawCluster", "ask", "sends"]

# Is given the connection, what tells that the test is over, and counts what it sends.
Peer = Callable[[socket.socket, "RawCluster"], object]


class RawCluster:
    """Has each connection, one after the other, served by the next of these functions; the last serves the rest."""

    def __init__(self, *peers: Peer) -> None:
        self.connections = 0
        self.sent = 0
        self.stopped = threading.Event()
        self._peers = peers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                peer = self._peers[min(self.connections, len(self._peers) - 1)]
                self.connections += 1
                peer(connection, self)


def ask(connection: socket.socket) -> bytes:
    """Read one request of these tests: its head, and a body of the length that it names."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = connection.recv(65536)
        if not piece:
            return b""
        read += piece
    head, _, body = read.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return read


def sends(head: bytes, pieces: Iterable[bytes] | bytes = b"", *, pause: float = 0.0) -> Peer:
    """Make a peer that answers with these bytes, and then with these pieces again and again, until it is left alone."""

    def peer(connection: socket.socket, cluster: RawCluster) -> None:
        ask(connection)
        try:
            connection.sendall(head)
            again = [pieces] if isinstance(pieces, bytes) else list(pieces)
            for piece in itertools.cycle(again) if again != [b""] else ():
                if cluster.stopped.wait(pause) if pause else cluster.stopped.is_set():
                    return
                connection.sendall(piece)
                cluster.sent += len(piece)
        except OSError:
            return
        if again == [b""]:
            cluster.stopped.wait(20)

    return peer
