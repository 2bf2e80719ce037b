"""What all connections together hold in memory: responses that wait for their readers, and clients' certificates."""

from __future__ import annotations

from metrics_apiserver.serving.peers import Connection, Peers

__all__ = ["Held"]

# How much may wait for readers in all; beyond it those that take nothing of it are closed before their deadline.
_UNSENT_BYTES = 64 << 20
# What clients may have shown of certificates in all, of which OpenSSL keeps forty times as much at worst; beyond it who
# showed most is closed. Two thousand usual ones fit.
_CERTIFICATE_BYTES = 5 << 19


class Held:
    """Counts it, and names the connections that are too many."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._unsent = self._certificates = 0

    def count_unsent(self, conn: Connection) -> None:
        """Count what of a connection's response waits to be written."""
        self._unsent += conn.sock.unsent - conn.counted
        conn.counted = conn.sock.unsent

    def count_certificates(self, conn: Connection) -> None:
        """Count what a client has shown of certificates in its handshake."""
        conn.certificates = conn.sock.certificate_bytes
        self._certificates += conn.certificates

    def forget(self, conn: Connection) -> None:
        """Count no more of a connection that is closed."""
        self._unsent -= conn.counted
        self._certificates -= conn.certificates
        conn.counted = conn.certificates = 0

    def heaviest(self) -> Connection | None:
        """Return who has shown most of certificates; None while all together is bearable, or the others are busy."""
        if self._certificates <= _CERTIFICATE_BYTES:
            return None
        found = self._peers.heaviest()
        return found if found is not None and found.certificates else None

    def stalled(self) -> Connection | None:
        """Return who has taken nothing of its response for longest; None while all together is bearable."""
        if self._unsent <= _UNSENT_BYTES:
            return None
        return next(iter(self._peers.stalled()), None)
