"""What holds for every provider: how it is made, started, stopped, and what it lists."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest

from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import Provider, ProviderContext, RequestContext
from metrics_apiserver.testing.conformance.running import in_time, threads_left
from metrics_apiserver.testing.fakes import FakeCluster, provider_context, request_context

__all__ = ["MakeProvider", "ProviderConformance", "context_of"]

MakeProvider = Callable[[ProviderContext], Provider]
_UNKNOWN_OPTION = "conformance-no-such-option"


class ProviderConformance:
    """The checks of any provider. Derive from one of the two below it, or from both for a provider of both APIs.

    Say which provider it is: by `provider_class` and `options`, or by overriding the fixture `make_provider`.
    """

    provider_class: ClassVar[type[Provider] | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    # Checks that are not for this provider: the test's name → the reason.
    exempt: ClassVar[Mapping[str, str]] = {}
    # Far more seconds than any call takes where nothing is wrong, so that a slow machine fails nothing.
    patience: ClassVar[float] = 10.0

    @pytest.fixture(autouse=True)
    def _skip_the_exempt(self, request: pytest.FixtureRequest) -> None:
        unknown = sorted(name for name in self.exempt if not hasattr(self, name))
        assert not unknown, f"exempt names checks that do not exist: {', '.join(unknown)}"
        if reason := self.exempt.get(request.function.__name__):
            pytest.skip(reason)

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        """Return what makes a provider of a context; override it where the class and its options are not enough."""
        provider_class = self.provider_class
        assert provider_class is not None, "say which provider this is: set provider_class, or override make_provider"
        return lambda context: provider_class(context, provider_class.Options().load(self.options))

    @pytest.fixture
    def make_hanging_provider(self) -> MakeProvider:
        """Return the same, with a backend that takes requests and never answers; without one, a check is left out."""
        pytest.skip("override the fixture make_hanging_provider with a backend that never answers to have this checked")

    @pytest.fixture
    def cluster(self) -> StandaloneCluster:
        """The cluster's objects: those that were declared."""
        return FakeCluster(*self.manifests())

    def manifests(self) -> list[dict[str, Any]]:
        """Return the declared objects."""
        return []

    @pytest.fixture
    def provider(self, make_provider: MakeProvider, cluster: StandaloneCluster) -> Iterator[Provider]:
        """A started provider."""
        provider = make_provider(context_of(cluster))
        provider.start()
        yield provider
        provider.stop()

    @pytest.fixture
    def ctx(self) -> RequestContext:
        """A read that has time."""
        return request_context(seconds=self.patience, clock=SystemClock())

    def test_options_refuse_what_they_do_not_know(
        self, make_provider: MakeProvider, cluster: StandaloneCluster
    ) -> None:
        """A misspelt option must stop the start."""
        schema = type(make_provider(context_of(cluster))).Options()
        refused: Any = schema.validate({**self.options, _UNKNOWN_OPTION: 1})
        assert _UNKNOWN_OPTION in refused, (
            "Options takes names that it does not declare: leave marshmallow's `unknown` as it is (RAISE)"
        )

    def test_stop_may_come_twice_and_without_a_start(
        self, make_provider: MakeProvider, cluster: StandaloneCluster
    ) -> None:
        """The server stops everything when one of its parts cannot start."""
        provider = make_provider(context_of(cluster))
        for _ in range(2):
            error = in_time(provider.stop, self.patience, "stop() hangs where nothing was started: look before joining")
            assert not isinstance(error, Exception), f"stop() must do nothing where nothing runs; it raised {error!r}"

    def test_stop_ends_what_start_began(self, make_provider: MakeProvider, cluster: StandaloneCluster) -> None:
        """A reload of the configuration makes new providers in the same process."""
        before = set(threading.enumerate())
        provider = make_provider(context_of(cluster))
        provider.start()
        error = in_time(provider.stop, self.patience, "stop() hangs: give joins a timeout, and tell the threads to end")
        assert not isinstance(error, Exception), f"stop() raised {error!r}"
        left = threads_left(before, self.patience)
        assert not left, f"stop() leaves threads running: {', '.join(left)}; tell them to end, and join them"


def context_of(cluster: StandaloneCluster) -> ProviderContext:
    """Make the context of a provider in this cluster."""
    return provider_context(cluster=cluster, clock=SystemClock())
