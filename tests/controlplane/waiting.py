"""Wait for a condition, never for an amount of time."""

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], timeout: float, message: str | Callable[[], str], *, interval: float = 0.05
) -> T:
    """Return the first true value of the condition; after `timeout` seconds raise TimeoutError with the message.

    What the condition raises ends the wait. The message may be a function, for one that tells the last state.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() >= deadline:
            sentence = message if isinstance(message, str) else message()
            raise TimeoutError(f"after {timeout:g} s: {sentence}")
        time.sleep(interval)
    return value
