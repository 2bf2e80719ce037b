"""The pytest plugin: what it costs those who do not use it, and what its fixtures give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import metrics_apiserver.testing
from metrics_apiserver.provider import ProviderContext, RequestContext
from metrics_apiserver.settings import PolicySettings
from metrics_apiserver.testing import Autoscaler, FakeClock
from metrics_apiserver_providers.constant import ConstantProvider


def test_loading_it_imports_nothing_but_pytest() -> None:
    """It is loaded with every pytest run of whoever has this distribution."""
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport metrics_apiserver.testing.plugin\n"
        "new = set(sys.modules) - before\nprint(*sorted({name.partition('.')[0] for name in new}))\n"
        "print(*sorted(name for name in new if name.startswith('metrics_apiserver.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    imported, ours = done.stdout.splitlines()
    assert set(imported.split()) <= {"metrics_apiserver", *sys.stdlib_module_names}
    assert ours.split() == ["metrics_apiserver.testing", "metrics_apiserver.testing.plugin"]


def test_every_exported_name_is_there() -> None:
    """They are imported when they are asked for; another name is refused as usual."""
    for name in metrics_apiserver.testing.__all__:
        assert callable(getattr(metrics_apiserver.testing, name))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        metrics_apiserver.testing.nothing  # noqa: B018 - the attribute is what is tested


def test_contexts_have_the_clock_of_the_test(
    fake_clock: FakeClock, provider_context: ProviderContext, request_context: RequestContext
) -> None:
    """So that one move moves all."""
    before = provider_context.clock.now()
    fake_clock.move(1)
    assert (provider_context.clock.now() - before).total_seconds() == 1
    assert request_context.remaining() == 0.5


def test_two_servers_in_one_test_are_strangers(serve_provider: Callable[..., Autoscaler]) -> None:
    """Each has its own provider."""
    three, five = (serve_provider(ConstantProvider, {"value": value}) for value in (3, 5))
    assert [str(each.external_metric("default", "depth")) for each in (three, five)] == ["3", "5"]


def test_instance_is_asked_as_its_settings_say(serve_provider: Callable[..., Autoscaler]) -> None:
    """The policy of the configuration is the server's part, and can be tested too."""
    autoscaler = serve_provider(ConstantProvider, {}, policy=PolicySettings(timeout=0.5), concurrency=2)
    (configured,) = autoscaler.server.providers
    assert (configured.settings.policy.timeout, configured.settings.concurrency) == (0.5, 2)
