"""Writes run on a provider's threads, in its slots, as its reads do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from metrics_apiserver.concurrency.bulkhead import Bulkhead
from metrics_apiserver.errors import BadGatewayError, GatewayTimeoutError, ServiceUnavailableError

__all__ = ["write"]


def write(provider: str, bulkhead: Bulkhead, work: Callable[[], None], seconds: float) -> None:
    """Run `work` on one of the provider's threads, and wait for it so long; where it is late, it goes on.

    Raises what `work` raises, GatewayTimeoutError, and ServiceUnavailableError where all slots are in use.
    """
    written: Future[None] = Future()

    def run() -> Callable[[], None]:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            return partial(written.set_exception, error)
        except BaseException as error:  # noqa: BLE001 - it would end the thread that waits
            return partial(written.set_exception, BadGatewayError(f"provider {provider} raised {type(error).__name__}"))
        return partial(written.set_result, None)

    if not bulkhead.run(run, lambda tell: tell()):
        raise ServiceUnavailableError(f"provider {provider} is busy: {bulkhead.size} calls of it are under way")
    try:
        written.result(seconds)
    except TimeoutError as error:
        # It came in this moment, or the provider raised that itself.
        if written.done():
            return written.result()
        sentence = f"provider {provider} has not taken the value within {round(seconds, 3):g} s"
        raise GatewayTimeoutError(f"{sentence}; it may still do so") from error
