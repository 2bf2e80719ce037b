"""The pytest plugin: fixtures for the tests of providers. Imports what they need only when one of them is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from metrics_apiserver.provider import ProviderContext, RequestContext
    from metrics_apiserver.testing import Autoscaler, FakeClock

__all__ = ["fake_clock", "provider_context", "request_context", "serve_provider"]

# The kit's assertions tell more when pytest rewrites them, also where this distribution is an editable install.
pytest.register_assert_rewrite("metrics_apiserver.testing.conformance")


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that moves when it is told to; the contexts' fixtures have the same one."""
    from metrics_apiserver.testing import FakeClock

    return FakeClock()


@pytest.fixture
def provider_context(fake_clock: FakeClock) -> ProviderContext:
    """What a provider is built with: the standard kinds, and no object."""
    from metrics_apiserver.testing.fakes import provider_context

    return provider_context(clock=fake_clock)


@pytest.fixture
def request_context(fake_clock: FakeClock) -> RequestContext:
    """What a provider is read with."""
    from metrics_apiserver.testing.fakes import request_context

    return request_context(clock=fake_clock)


@pytest.fixture
def serve_provider() -> Iterator[Callable[..., Autoscaler]]:
    """`metrics_apiserver.testing.serve_provider`, whose servers stop when the test ends."""
    from metrics_apiserver.testing.served import serve_provider

    with ExitStack() as servers:
        yield lambda *arguments, **keywords: servers.enter_context(serve_provider(*arguments, **keywords))
