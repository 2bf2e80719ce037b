"""For authors who ship a program of their own: their flags and providers, and this server (docs/adapter.md).

After upstream's `AdapterBase` (custom-metrics-apiserver `pkg/cmd`).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, packages_distributions
from importlib.metadata import version as distribution_version
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication

from metrics_apiserver import registry
from metrics_apiserver.apis.checking import with_article
from metrics_apiserver.configuration import START_FAILED, begin, flags, keep, read, say_error
from metrics_apiserver.configuration.sources import Source
from metrics_apiserver.factory import create_app
from metrics_apiserver.kube.config import load_client
from metrics_apiserver.provider import (
    CustomMetricsProvider,
    ExternalMetricsProvider,
    Options,
    Provider,
    ProviderContext,
    kinds,
)
from metrics_apiserver.provider.functions import Metrics
from metrics_apiserver.registry import OfferedProvider, ProviderError
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.settings import ENVIRONMENT_PREFIX

__all__ = ["Adapter", "serve"]


Factory = Callable[[ProviderContext], Provider]


class Adapter:
    """A program that serves its own providers, with all flags of `metrics-apiserver serve` beside its own.

    `flags` takes the program's own, as any argparse parser does; `arguments` has what was given for them.
    """

    def __init__(self, name: str, *, description: str = "") -> None:
        self.name = name
        self.arguments = argparse.Namespace()
        self._parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
        self.flags = self._parser.add_argument_group(f"flags of {name}")
        ours = self._parser.add_argument_group(
            "flags of the server", f"Every one is also read from {ENVIRONMENT_PREFIX}<NAME> and from --config."
        )
        flags.add_sources(ours)
        flags.add_settings(self._parser)
        self._factories: dict[Factory, tuple[str, list[type[Provider]]]] = {}

    def with_custom_metrics(self, factory: Factory, *, name: str = "custom-metrics") -> None:
        """Serve the custom metrics of the provider that the factory makes; it is called in the process that serves.

        `name` is the provider's in logs and metrics, and its `kind` in a file. One factory for both APIs makes one
        provider.
        """
        self._add(factory, name, CustomMetricsProvider)

    def with_external_metrics(self, factory: Factory, *, name: str = "external-metrics") -> None:
        """Serve the external metrics of the provider that the factory makes, in the same way."""
        self._add(factory, name, ExternalMetricsProvider)

    def client_config(self) -> Any:
        """Return the `kubernetes.client.Configuration` of the cluster; None where there is no cluster.

        Call it in a factory: before `run` the flags are not known. Raises ClusterConfigError.
        """
        # The settings as a whole were checked by `run`.
        cluster = read(os.environ)[0].cluster
        return None if cluster.standalone else load_client(cluster.kubeconfig).configuration

    def run(self, arguments: Sequence[str] | None = None) -> NoReturn:
        """Serve until a signal ends this process; a wrong setting ends it with every problem and exit code 1.

        `arguments` are those of the command line unless given.
        """
        self._parser.parse_args(arguments, self.arguments)
        if not self._factories:
            sys.exit(f"{self.name}: this program has no provider: give it one, by with_custom_metrics(factory)")
        os.environ.update(flags.variables(vars(self.arguments)))
        try:
            for factory, (kind, interfaces) in self._factories.items():
                registry.offer(_offered(self.name, kind, factory, interfaces))
        except ProviderError as problem:
            sys.exit(f"{self.name}: {problem}")
        if Source.open(os.environ).providers() is None:
            os.environ[f"{ENVIRONMENT_PREFIX}PROVIDER"] = ",".join(kind for kind, _ in self._factories.values())
        _Gunicorn(prog=self.name).run()
        sys.exit(0)

    def _add(self, factory: Factory, name: str, interface: type[Provider]) -> None:
        _, interfaces = self._factories.setdefault(factory, (name, []))
        interfaces.append(interface)


def serve(metrics: Metrics, address: str = "127.0.0.1:6443", **settings: object) -> NoReturn:
    """Serve metrics that are functions until a signal ends this process.

    `settings` are those of the server by their names, such as `log_format="json"`; the command line is not read.
    """
    (provider_class,) = (entry.load() for entry in kinds.installed() if entry.name == "functions")
    host, _, port = address.rpartition(":")
    given = {"bind_address": host.strip("[]"), "secure_port": port, **settings}
    adapter = Adapter("metrics")
    adapter.with_external_metrics(
        lambda context: provider_class(context, provider_class.Options().load({"metrics": metrics})), name="metrics"
    )
    adapter.run([f"--{name.replace('_', '-')}={_written(value)}" for name, value in given.items()])


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _offered(program: str, kind: str, factory: Factory, interfaces: Sequence[type[Provider]]) -> OfferedProvider:
    distribution, version = _origin(factory.__module__.partition(".")[0])

    def make(context: ProviderContext, _options: Mapping[str, Any]) -> Provider:
        provider = factory(context)
        for interface in interfaces:
            if not isinstance(provider, interface):
                raise TypeError(f"the factory gave {with_article(provider)}, not an object of {interface.__name__}")
        return provider

    return OfferedProvider(kind, make, Options, distribution or program, version)


def _origin(module: str) -> tuple[str, str]:
    """Return the distribution that brings a module, and its version; a program that is none has neither."""
    for name in packages_distributions().get(module, ()):
        try:
            return name, distribution_version(name)
        except PackageNotFoundError:
            continue
    return "", "unknown"


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn in this process, so that the program's factories reach the worker by the fork."""

    def load_config(self) -> None:
        """Take the settings from our configuration module, as gunicorn's `-c` does, and no command line."""
        path = sys.path[:]  # the program's own folder stays first, as Python has put it
        config = importlib.import_module("metrics_apiserver.serving.config")
        sys.path[:] = path
        for name in config.__all__:
            self.cfg.set(name, getattr(config, name))

    def load(self) -> MetricsServer:
        """Make the application, in the worker."""
        try:
            return begin(os.environ, partial(create_app, keep=keep))
        except (ProviderError, ValueError) as problem:
            say_error(problem, program=self.prog)
            sys.exit(START_FAILED)
