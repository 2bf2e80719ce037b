"""Lines go out on a thread of their own, so that who logs never waits for who reads.

    a thread that logs → format → queue (bounded) → the thread that writes → stderr

A reader that stops (a full pipe, a terminal that is held) stops the writing thread alone. What the queue has no room
for is counted, and said in one line when there is room again: not before half of the queue is free, or every other line
would say so. No thread survives a fork, so the writing thread ends before one, and begins with the next line in each
process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import select
import threading
import time
import weakref
from collections.abc import Callable, Iterator

__all__ = ["LineWriter"]

# A line, and how many dropped ones it tells of: none, unless it is there to tell.
_Item = tuple[bytes, int]

# What waits for a slow reader at most: some ten thousand lines of requests.
_QUEUE_BYTES = 4 << 20
# What a line costs besides its own bytes.
_OVERHEAD_BYTES = 64
# What goes out at once: as much as a pipe takes in one piece (POSIX's PIPE_BUF on Linux).
_WRITE_BYTES = 4096
# While lines come all the time they are collected for so long: two threads would change places for each of them.
_PAUSE_SECONDS = 0.005
_STOP_SECONDS = 0.5
# A longer line is cut: it would fill the queue, and more than the queue it would never get through.
_LONGEST_LINE = 256 << 10
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
        # Whether a line that went out in part, before a failure, stands there without its end.
        self._torn = False
        # Reentrant: a handler of signals may log while its thread does.
        self._lock = threading.RLock()
        # None ends the thread.
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ending = False
        # How many forks are under way: until they are over no thread begins.
        self._forking = 0
        self._stopping = threading.RLock()
        self._written = threading.Condition()
        # In all, of lines and of bytes: each of the counters has one writer.
        self._lines_in = self._bytes_in = 0
        self._lines_out = self._bytes_out = 0
        # How many were dropped, and how many of them nobody was told of.
        self.dropped = self._untold = 0
        self._dropping, self._failing, self._why = False, False, _SLOW

    def put(self, line: bytes) -> None:
        """Queue a line with its end, or drop it where there is no room; one that is too long loses the rest."""
        if len(line) > _LONGEST_LINE:
            line = _cut(line)
        with self._lock:
            waiting = self._bytes_in - self._bytes_out
            if self._dropping and waiting <= _QUEUE_BYTES // 2:
                self._dropping = False
            if self._dropping or waiting + len(line) > _QUEUE_BYTES:
                self._dropping = True
                self._drop([(line, 0)], _SLOW)
                return
            self._tell()
            self._add(line, 0)

    def flush(self, seconds: float) -> bool:
        """Wait until all that was queued before is written, but no longer than this; return whether it is."""
        with self._lock:
            lines = self._lines_in
            self._begin()
        with self._written:
            return self._written.wait_for(lambda: self._lines_out >= lines, seconds)

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """End the thread when it has written what is queued; where that takes too long it goes on."""
        # One at a time: for two, one of them would begin the thread that the other waits for.
        with self._stopping:
            with self._lock:
                thread = self._thread
                if thread is None:
                    return
                self._ending = True
                self._queue.put(None)
            thread.join(seconds)
            with self._lock:
                self._ending = False
                if not thread.is_alive() and self._thread is thread:
                    self._thread = None
                    self._begin()

    def before_fork(self) -> None:
        """End the thread, which no fork takes along, and begin none until the fork is over."""
        with self._lock:
            self._forking += 1
        self.stop()

    def after_fork(self) -> None:
        """Write again, in the process that was forked from."""
        with self._lock:
            self._forking -= 1
            self._begin()

    def _drop(self, items: list[_Item], why: str) -> None:
        if not self._untold:
            self._why = why
        for _, tells in items:
            self.dropped += not tells
            self._untold += tells or 1

    def _tell(self) -> None:
        if self._untold:
            self._add(self._said(self._untold, self._why), self._untold)
            self._untold = 0

    def _add(self, line: bytes, tells: int) -> None:
        self._lines_in += 1
        self._bytes_in += len(line) + _OVERHEAD_BYTES
        self._queue.put((line, tells))
        self._begin()

    def _begin(self) -> None:
        if self._thread is not None or self._forking or self._lines_in == self._lines_out:
            return
        # First: a handler of signals may come here while the thread starts.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # Without one more thread, or at the interpreter's end, the lines wait for the next that asks.
            self._thread = None

    # On the writing thread.

    def _run(self) -> None:
        try:
            self._write_lines()
        finally:
            with self._lock:
                # Out of memory, say: the next line begins another thread.
                if not self._ending and self._thread is threading.current_thread():
                    self._thread = None

    def _write_lines(self) -> None:
        kept: _Item | None = None
        while True:
            item = kept if kept is not None else self._queue.get()
            kept = None
            if item is not None:
                piece, kept, item = _gather(item, self._queue)
                self._write(piece)
            if item is None:
                with self._lock:
                    # Unless nobody waits for the end any more.
                    if self._ending:
                        return
            if kept is None and self._queue.empty():
                with self._lock:
                    self._dropping = False
                    # What is dropped last has no other line after it to say so.
                    if not self._failing:
                        self._tell()
                time.sleep(_PAUSE_SECONDS)

    def _write(self, items: list[_Item]) -> None:
        piece = b"".join([line for line, _ in items])
        left = memoryview(b"\n" + piece if self._torn else piece)
        try:
            with _turn():
                while left:
                    left = left[_write_some(self._descriptor, left) :]
            self._failing = self._torn = False
        except OSError as error:
            # Nobody reads any more, or the disk is full: there is no other place to say so than here, later.
            self._failing = True
            gone = len(piece) - len(left)
            # What went out of it ends inside a line; or nothing did, and what was before still has no end.
            self._torn = not piece[:gone].endswith(b"\n") if gone > 0 else self._torn and gone < 0
            with self._lock:
                self._drop(_after(items, gone), f"the log could not be written: {error.strerror}")
        with self._written:
            self._lines_out += len(items)
            self._bytes_out += len(piece) + _OVERHEAD_BYTES * len(items)
            self._written.notify_all()


def _gather(item: _Item, items: queue.SimpleQueue[_Item | None]) -> tuple[list[_Item], _Item | None, _Item | None]:
    """Take what goes out in one piece, what was taken too much for it, and the last that was taken."""
    piece, size = [item], len(item[0])
    while size < _WRITE_BYTES:
        try:
            following = items.get_nowait()
        except queue.Empty:
            break
        if following is None:
            return piece, None, None
        if size + len(following[0]) > _WRITE_BYTES:
            return piece, following, item
        piece.append(following)
        size += len(following[0])
    return piece, None, item


# The master and its workers take turns, or a longer line would have another in the middle. A file in memory that they
# inherit; the kernel takes the lock from a process that ends.
_turns = os.memfd_create("log") if hasattr(os, "memfd_create") else None


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    if _turns is None:
        yield
        return
    fcntl.lockf(_turns, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(_turns, fcntl.LOCK_UN)


def _write_some(descriptor: int, left: memoryview) -> int:
    """Write what goes out at once; return how much it is, which is nothing where one had to wait. Raises OSError."""
    try:
        return os.write(descriptor, left)
    except BlockingIOError:
        # Somebody who shares the descriptor has made it so; it is not ours to change.
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll()
        return 0


def _after(items: list[_Item], gone: int) -> list[_Item]:
    """Return the lines that did not go out whole, of those of which so many bytes did."""
    for number, (line, _) in enumerate(items):
        gone -= len(line)
        if gone < 0:
            return items[number:]
    return []


def _cut(line: bytes) -> bytes:
    """Cut a line, not within a character."""
    begin = line[:_LONGEST_LINE].decode("utf-8", "ignore").encode()
    return begin + f"… and {len(line) - len(begin) - 1} bytes more\n".encode()


_writers: weakref.WeakSet[LineWriter] = weakref.WeakSet()


# Whose thread was ended for the fork that this thread makes.
_forking = threading.local()


def _before_fork() -> None:
    _forking.writers = tuple(_writers)
    for writer in _forking.writers:
        writer.before_fork()


def _after_fork_in_parent() -> None:
    for writer in _forking.writers:
        writer.after_fork()
    _forking.writers = ()


def _after_fork_in_child() -> None:
    _forking.writers = ()
    for writer in tuple(_writers):
        # What is still queued is the parent's to write.
        writer._reset()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
