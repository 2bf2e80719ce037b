"""A poller on a clock that the test moves, and a provider on the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metrics_apiserver.model.clock import SystemClock
from tests.providers.functions.hands import Polling
from tests.providers.functions.served import Served


@pytest.fixture(name="polling")
def _polling() -> Iterator[Polling]:
    polling = Polling()
    yield polling
    polling.poller.stop()


@pytest.fixture(name="served")
def _served() -> Iterator[Served]:
    served = Served(SystemClock())
    served.provider.start()
    yield served
    served.provider.stop()
