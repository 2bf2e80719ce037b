"""`Metrics`: where functions are registered, by decorator or by call; whoever polls and answers watches it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.provider.functions.declarations import NAMESPACE_ALL, Declaration, declare, refuse_bare
from metrics_apiserver.provider.functions.triggers import Trigger

__all__ = ["Metrics", "Registration", "Watcher"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Watcher(Protocol):
    """Is told of every registration: of those that are there when it begins to watch, and of all later changes."""

    def added(self, registration: Registration) -> None:
        """Begin to serve it. Raises ValueError, with a sentence, to refuse it."""

    def removed(self, registration: Registration) -> None:
        """Stop polling it, and forget it."""


class Registration:
    """The handle of a registered metric."""

    __slots__ = ("_metrics", "declaration")

    def __init__(self, metrics: Metrics, declaration: Declaration) -> None:
        self._metrics = metrics
        self.declaration = declaration

    def cancel(self) -> None:
        """Stop the polling, and remove the metric: reads find none. A run that is under way ends by itself, unheard.

        Again is not an error.
        """
        self._metrics._remove(self)


class Metrics:
    """A set of metrics that are functions. They may be added and cancelled at any time, from any thread.

    Every method raises TypeError or ValueError, with a sentence that names the metric, for what cannot be one.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # In the order of registration.
        self._registrations: dict[Registration, None] = {}
        self._taken: dict[tuple[GroupResource | None, str, str], Registration] = {}
        self._watchers: list[Watcher] = []

    def external(
        self,
        name: str,
        *,
        trigger: Trigger = None,
        namespace: str | Iterable[str] = NAMESPACE_ALL,
        max_age: float | timedelta | None = None,
    ) -> Callable[[_Function], _Function]:
        """Make the decorated function an external metric; it is called with (ctx, namespace, name).

        `trigger` says when: `every(seconds=5)`, an iterable or a queue of events, or None for when it is asked.
        `namespace` says where it answers: NAMESPACE_ALL, a name, or several, each of which is polled by itself.
        `max_age`, in seconds, is how long the last good value is served; without it, ten periods, at least 60 s.
        The function itself stays as it is.
        """
        refuse_bare(name, '@metrics.external("queue-depth")')

        def register(function: _Function) -> _Function:
            self.add_metric(namespace, name, trigger, function, max_age=max_age)
            return function

        return register

    def custom(
        self,
        resource: GroupResource | str,
        name: str = "",
        *,
        trigger: Trigger = None,
        namespace: str | Iterable[str] = NAMESPACE_ALL,
        max_age: float | timedelta | None = None,
    ) -> Callable[[_Function], _Function]:
        """Make the decorated function a custom metric of a resource (`pods`, `deployments.apps`).

        It is called with (ctx, objects): the objects that are asked for, as NamespacedName; at a poll, all there are.
        The rest is as with `external`.
        """
        refuse_bare(resource, '@metrics.custom("pods", "open-sessions")')

        def register(function: _Function) -> _Function:
            self.add_custom_metric(namespace, resource, name, trigger, function, max_age=max_age)
            return function

        return register

    def add_metric(
        self,
        namespace: str | Iterable[str],
        name: str,
        trigger: Trigger,
        function: Callable[..., object],
        *,
        max_age: float | timedelta | None = None,
    ) -> Registration:
        """Register a function as an external metric, as `external` does, and return its handle."""
        return self._add(declare(name, function, namespace=namespace, resource=None, trigger=trigger, max_age=max_age))

    def add_custom_metric(
        self,
        namespace: str | Iterable[str],
        resource: GroupResource | str,
        name: str,
        trigger: Trigger,
        function: Callable[..., object],
        *,
        max_age: float | timedelta | None = None,
    ) -> Registration:
        """Register a function as a custom metric, as `custom` does, and return its handle."""
        return self._add(
            declare(name, function, namespace=namespace, resource=resource, trigger=trigger, max_age=max_age)
        )

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """What is registered now, in the order of registration."""
        with self._lock:
            return tuple(self._registrations)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell a watcher of all registrations, present and future; what is given back ends it.

        Raises ValueError if the watcher refuses what is there.
        """
        with self._lock:
            for registration in self._registrations:
                watcher.added(registration)
            self._watchers.append(watcher)

        def unwatch() -> None:
            with self._lock:
                self._watchers = [each for each in self._watchers if each is not watcher]

        return unwatch

    def _add(self, declaration: Declaration) -> Registration:
        registration = Registration(self, declaration)
        keys = [(declaration.resource, declaration.name, namespace) for namespace in declaration.namespaces]
        with self._lock:
            if (spelling := self._other_spelling(declaration)) is not None:
                raise ValueError(
                    f"{declaration} is registered already as {spelling}: the case of an external metric's name does not"
                    " count, since the autoscaler asks for it in lower case"
                )
            for key in keys:
                if other := self._taken.get(key):
                    raise ValueError(f"{declaration} of {_where(key[2])} is registered already, by {_by(other)}")
            told: list[Watcher] = []
            try:
                for watcher in self._watchers:
                    watcher.added(registration)
                    told.append(watcher)
            except BaseException:
                for watcher in told:
                    watcher.removed(registration)
                raise
            self._registrations[registration] = None
            self._taken.update(dict.fromkeys(keys, registration))
        return registration

    def _other_spelling(self, declaration: Declaration) -> str | None:
        names = (each.declaration.name for each in self._registrations if each.declaration.resource is None)
        if declaration.resource is not None:
            return None
        lower = declaration.name.lower()
        return next((name for name in names if name != declaration.name and name.lower() == lower), None)

    def _remove(self, registration: Registration) -> None:
        declaration = registration.declaration
        with self._lock:
            if registration not in self._registrations:
                return
            del self._registrations[registration]
            for namespace in declaration.namespaces:
                del self._taken[(declaration.resource, declaration.name, namespace)]
            for watcher in self._watchers:
                watcher.removed(registration)


def _where(namespace: str) -> str:
    return "every namespace" if namespace == NAMESPACE_ALL else f"the namespace {namespace}"


def _by(registration: Registration) -> str:
    function = registration.declaration.function
    return str(getattr(function, "__qualname__", function))
