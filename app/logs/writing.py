"""Lines go out on a thread of their own, so that who logs never waits for who reads.

    a thread that logs → format → queue (bounded) → the thread that writes → stderr

A reader that stops (a full pipe, a terminal that is held) stops the writing thread alone. What the queue has no room
for is counted, and said in one line when there is room again: not before half of the queue is free, or every other line
would say so. No thread survives a fork, so the writing thread ends before one, and begins with the next line in each
process.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

__all__ = ["LineWriter"]

# What waits for a slow reader at most: some ten thousand lines of requests.
_QUEUE_BYTES = 4 << 20
# What a line costs besides its own bytes.
_OVERHEAD_BYTES = 64
# A pipe takes as much in one piece (POSIX's PIPE_BUF on Linux), also between the lines of another process.
_WRITE_BYTES = 4096
# While lines come all the time they are collected for so long: two threads would change places for each of them.
_PAUSE_SECONDS = 0.001
_STOP_SECONDS = 0.5
_SLOW = "the log's reader was slow"


class LineWriter:
    """Writes lines to a descriptor, in their order and each in one piece; `put` never waits.

    `said` makes the line that tells how many were dropped, and why.
    """

    def __init__(self, descriptor: int, said: Callable[[int, str], bytes]) -> None:
        self._descriptor = descriptor
        self._said = said
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        """Begin anew, in a process that has no line to write yet."""
        # Reentrant: a handler of signals may log while its thread does.
        self._lock = threading.RLock()
        # None ends the thread.
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._written = threading.Condition()
        # In all, of lines and of bytes: each of the counters has one writer.
        self._lines_in = self._bytes_in = 0
        self._lines_out = self._bytes_out = 0
        # How many were dropped, and how many of them nobody was told of.
        self.dropped = self._untold = 0
        self._dropping, self._why = False, _SLOW

    def put(self, line: bytes) -> None:
        """Queue a line with its end, or drop it where there is no room."""
        with self._lock:
            waiting = self._bytes_in - self._bytes_out
            if self._dropping and waiting <= _QUEUE_BYTES // 2:
                self._dropping = False
            if self._dropping or waiting + len(line) > _QUEUE_BYTES:
                self._dropping = True
                self._drop(1, _SLOW)
                return
            self._tell()
            self._add(line)

    def flush(self, seconds: float) -> bool:
        """Wait until all that was queued before is written, but no longer than this; say whether it is."""
        with self._lock:
            lines = self._lines_in
            self._begin()
        with self._written:
            return self._written.wait_for(lambda: self._lines_out >= lines, seconds)

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """End the thread when it has written what is queued; where that takes too long it goes on."""
        with self._lock:
            thread = self._thread
            if thread is None:
                return
            self._ending = True
            self._queue.put(None)
        thread.join(seconds)
        with self._lock:
            self._ending = False
            if not thread.is_alive():
                self._thread = None
                self._begin()

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        if not self._untold:
            self._why = why
        self._untold += count

    def _tell(self) -> None:
        if self._untold:
            self._add(self._said(self._untold, self._why))
            self._untold = 0

    def _add(self, line: bytes) -> None:
        self._lines_in += 1
        self._bytes_in += len(line) + _OVERHEAD_BYTES
        self._queue.put(line)
        self._begin()

    def _begin(self) -> None:
        if self._thread is not None or self._lines_in == self._lines_out:
            return
        thread = threading.Thread(target=self._run, name="log", daemon=True)
        # Without one more thread, or at the interpreter's end, the lines wait for the next that asks.
        with suppress(RuntimeError):
            thread.start()
            self._thread = thread

    # On the writing thread.

    def _run(self) -> None:
        kept: bytes | None = None
        while True:
            line = kept if kept is not None else self._queue.get()
            kept = None
            if line is not None:
                piece, kept, line = _gather(line, self._queue)
                self._write(piece)
            if line is None:
                with self._lock:
                    # Unless nobody waits for the end any more.
                    if self._ending:
                        return
            if kept is None and self._queue.empty():
                with self._lock:
                    # Whoever is dropped last has no other after it to say so.
                    self._dropping = False
                    self._tell()
                time.sleep(_PAUSE_SECONDS)

    def _write(self, lines: list[bytes]) -> None:
        piece = b"".join(lines)
        try:
            _write_all(self._descriptor, piece)
        except OSError as error:
            # Nobody reads any more, or the disk is full: there is no other place to say so than here, later.
            with self._lock:
                self._drop(len(lines), f"the log could not be written: {error.strerror}")
        with self._written:
            self._lines_out += len(lines)
            self._bytes_out += len(piece) + _OVERHEAD_BYTES * len(lines)
            self._written.notify_all()


def _gather(line: bytes, lines: queue.SimpleQueue[bytes | None]) -> tuple[list[bytes], bytes | None, bytes | None]:
    """Take the lines that go out in one piece, the one that was taken too much, and the last that was taken."""
    piece, size = [line], len(line)
    while size < _WRITE_BYTES:
        try:
            following = lines.get_nowait()
        except queue.Empty:
            break
        if following is None:
            return piece, None, None
        if size + len(following) > _WRITE_BYTES:
            return piece, following, line
        piece.append(following)
        size += len(following)
    return piece, None, line


def _write_all(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Somebody who shares the descriptor has made it so; it is not ours to change.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


_writers: weakref.WeakSet[LineWriter] = weakref.WeakSet()


def _before_fork() -> None:
    for writer in tuple(_writers):
        writer.stop()


def _after_fork_in_child() -> None:
    for writer in tuple(_writers):
        # What is still queued is the parent's to write.
        writer._reset()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
