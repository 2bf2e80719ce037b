"""A proxy in this process, and the server that it forwards to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import RequestContext, UserInfo
from metrics_apiserver_providers.proxy import ProxyProvider
from tests.controlplane.certificates import Authority
from tests.fakes import LOGGER, provider_context
from tests.providers.proxy.other import OtherServer, issue

MakeProxy = Callable[..., ProxyProvider]


def read_context(seconds: float = 10.0, *, user: UserInfo | None = None) -> RequestContext:
    """The context of a read that has so many seconds."""
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    return RequestContext(deadline=deadline, audit_id="an-audit-id", clock=clock, logger=LOGGER, user=user)


@pytest.fixture(name="authority", scope="session")
def _authority() -> Authority:
    return Authority("the other server's authority")


@pytest.fixture(name="other")
def _other(authority: Authority, tmp_path: Path) -> Iterator[OtherServer]:
    """The other server; it takes client certificates of its own authority."""
    (tmp_path / "ca.crt").write_bytes(authority.certificate_pem)
    server = OtherServer(issue(authority), tmp_path, clients=authority)
    yield server
    server.close()


@pytest.fixture(name="make_proxy")
def _make_proxy(other: OtherServer, tmp_path: Path) -> Iterator[MakeProxy]:
    """Make proxies of the other server, which trust its authority unless told otherwise; none is started."""
    made: list[ProxyProvider] = []

    def make(**options: Any) -> ProxyProvider:
        given = {"url": other.url, "caFile": str(tmp_path / "ca.crt"), **options}
        given = {name: value for name, value in given.items() if value is not None}
        context = dataclasses.replace(provider_context("keda"), clock=SystemClock())
        made.append(ProxyProvider(context, ProxyProvider.Options().load(given)))
        return made[-1]

    yield make
    for proxy in made:
        proxy.stop()


@pytest.fixture(name="proxy")
def _proxy(make_proxy: MakeProxy) -> ProxyProvider:
    return make_proxy()
