"""Calls a provider as a server does, and worse: on several threads at once, with a watch on the time and on sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import Provider, RequestContext
from metrics_apiserver.testing.fakes import request_context

__all__ = ["THREADS", "all_at_once", "hangs_no_longer", "in_time", "no_calls_out", "threads_left"]

THREADS = 8


def in_time(function: Callable[[], Any], seconds: float, message: str, *, name: str = "conformance-alone") -> Any:
    """Return what the function returns or raises; fail with the message where it does neither within these seconds."""
    outcomes: list[Any] = []
    read = partial(_collect, function, outcomes)
    thread = threading.Thread(target=read, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcomes:
        pytest.fail(message)
    return outcomes[0]


def hangs_no_longer(provider: Provider, read: Callable[[RequestContext], Any], had: float, patience: float) -> None:
    """Check that a read comes back, with whatever, although it has only so many seconds."""
    if provider.answers_from_memory:
        pytest.skip("it declares answers_from_memory: no deadline is set for it")
    provider.start()
    try:
        message = (
            f"a read that had {had:g} s is still under way after {patience:g} s: "
            "hand ctx.remaining() on as the timeout of whatever you wait for"
        )
        in_time(partial(read, request_context(seconds=had, clock=SystemClock())), patience, message)
    finally:
        in_time(provider.stop, patience, "stop() hangs while a read is under way")


def all_at_once(functions: Sequence[Callable[[], Any]], patience: float) -> list[Any]:
    """Call each on a thread of its own, all let go at once; return what they returned or raised, in their order."""
    outcomes: list[Any] = [None] * len(functions)
    gate = threading.Barrier(len(functions))

    def run(index: int) -> None:
        gate.wait()
        outcomes[index] = _outcome(functions[index])

    threads = [
        threading.Thread(target=partial(run, index), name="conformance-beside", daemon=True)
        for index in range(len(functions))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience)
    if any(thread.is_alive() for thread in threads):
        pytest.fail(
            f"reads on {len(threads)} threads do not end: look for a lock that is taken twice, or never released"
        )
    return outcomes


@contextmanager
def no_calls_out(message: str) -> Iterator[None]:
    """Fail with the message where this thread uses a socket meanwhile; other threads may."""
    used: list[str] = []
    here = threading.get_ident()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "send", "sendall", "sendto", "recv"):
            original = getattr(socket.socket, name)

            def call(connection: socket.socket, *arguments: Any, name: str = name, original: Any = original) -> Any:
                if threading.get_ident() == here:
                    used.append(name)
                return original(connection, *arguments)

            patch.setattr(socket.socket, name, call)
        yield
    assert not used, message


def threads_left(before: set[threading.Thread], seconds: float) -> list[str]:
    """Name the threads that came since, and have not ended within these seconds."""
    since = [thread for thread in threading.enumerate() if thread not in before]
    deadline = time.monotonic() + seconds
    for thread in since:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sorted(thread.name for thread in since if thread.is_alive())


def _collect(function: Callable[[], Any], outcomes: list[Any]) -> None:
    outcomes.append(_outcome(function))


def _outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - whatever a provider raises is its answer
        return error
