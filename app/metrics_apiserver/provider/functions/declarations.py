"""One declared metric: its name, where it answers, when its function is called, and with how many arguments."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.provider.functions.triggers import Every, Trigger, check_trigger

__all__ = ["NAMESPACE_ALL", "NAMESPACE_DEFAULT", "Declaration", "declare", "refuse_bare"]

NAMESPACE_ALL: Final = "*"
NAMESPACE_DEFAULT: Final = "default"

_EXTERNAL_ARGUMENTS = ("ctx", "namespace", "name")
_CUSTOM_ARGUMENTS = ("ctx", "objects")
# A resource with its group, as a path has them: no version, no subresource.
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.IGNORECASE)
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?(\.|\Z)")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# What a poll's last good value is worth, unless the author says it: so many periods, but never less than so long.
_PERIODS, _LEAST_MAX_AGE = 10, 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """What an author said of a metric; checked.

    `namespaces` are where it answers, NAMESPACE_ALL alone for everywhere. `resource` is the custom metric's, as it was
    written; None makes it an external metric. Of (ctx, namespace, name), or (ctx, objects), the function is given the
    first `arguments`. `max_age`, in seconds, is how long the last good value is served while there is no newer one;
    None for ever.
    """

    name: str
    namespaces: tuple[str, ...]
    resource: GroupResource | None
    trigger: Trigger
    function: Callable[..., object]
    arguments: int
    max_age: float | None

    @property
    def period(self) -> float | None:
        """The period of its polls in seconds; None where it has none."""
        return self.trigger.seconds if isinstance(self.trigger, Every) else None

    @property
    def when_asked(self) -> bool:
        """Whether the function is called by reads, and by nothing else."""
        return self.trigger is None

    def __str__(self) -> str:
        if self.resource is None:
            return f"external metric {self.name}"
        return f"custom metric {self.resource}/{self.name}"


def declare(
    name: str,
    function: Callable[..., object],
    *,
    namespace: str | Iterable[str],
    resource: GroupResource | str | None,
    trigger: Trigger,
    max_age: float | timedelta | None,
) -> Declaration:
    """Check what an author said. Raises TypeError and ValueError with a sentence that begins with the metric."""
    what = f"external metric {name}" if resource is None else f"custom metric {resource}/{name}"
    try:
        _check_name(name)
        check_trigger(trigger)
        return Declaration(
            name=name,
            namespaces=_namespaces(namespace),
            resource=_resource(resource),
            trigger=trigger,
            function=function,
            arguments=_arguments(function, _EXTERNAL_ARGUMENTS if resource is None else _CUSTOM_ARGUMENTS),
            max_age=_max_age(max_age, trigger),
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what}: {error}") from None


def refuse_bare(given: Any, form: str) -> None:
    """Refuse a function in the place of a name: the decorator was written without parentheses. Raises TypeError."""
    if callable(given):
        raise TypeError(f"{getattr(given, '__name__', 'a function')}: the decorator needs parentheses: {form}")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError("a name is a text that is not empty and has no slash")


def _namespaces(given: Any) -> tuple[str, ...]:
    namespaces = (given,) if isinstance(given, str) else tuple(given)
    if namespaces == (NAMESPACE_ALL,):
        return namespaces
    for namespace in namespaces:
        if namespace == NAMESPACE_ALL:
            raise ValueError("NAMESPACE_ALL is every namespace already: give it alone")
        if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
            raise ValueError(f"{namespace!r} is not a namespace: give its name, several in a list, or NAMESPACE_ALL")
        if namespaces.count(namespace) > 1:
            raise ValueError(f"the namespace {namespace} is given twice")
    if not namespaces:
        raise ValueError("the list of namespaces is empty: it would answer nowhere")
    return namespaces


def _resource(given: Any) -> Any:
    resource = GroupResource.parse(given) if isinstance(given, str) else given
    if resource is None:
        return None
    if not isinstance(resource, GroupResource) or not _RESOURCE.fullmatch(str(resource)):
        raise ValueError(f"{given!r} is not a resource: write pods, or deployments.apps, without a version")
    if _VERSION.match(resource.group):
        raise ValueError(f"{given!r} has a version, and a resource has none here: write {_without_version(resource)}")
    return resource


def _without_version(resource: GroupResource) -> GroupResource:
    return GroupResource(resource.resource, resource.group.partition(".")[2])


def _max_age(given: float | timedelta | None, trigger: Trigger) -> float | None:
    if given is None:
        return max(_PERIODS * trigger.seconds, _LEAST_MAX_AGE) if isinstance(trigger, Every) else None
    seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"max_age={given}: it must be a number of seconds above 0")
    if trigger is None:
        raise ValueError("max_age is how long a polled value is served: a function that is called when asked has none")
    return seconds


def _called(function: Any) -> str:
    """Return what a function is called where it was written; what is not one is shown as it is."""
    return str(getattr(function, "__qualname__", repr(function)))


def _arguments(function: Any, offered: tuple[str, ...]) -> int:
    """Tell how many of the arguments on offer the function takes.

    What it requires it is given in the order of the offer; an optional parameter is only for us if it has our name.
    """
    form = f"it is called with ({', '.join(offered)}), or the first of them"
    if not callable(function):
        raise TypeError(f"{_called(function)} is not a function: {form}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        kind = "a coroutine" if inspect.iscoroutinefunction(function) else "a generator"
        raise TypeError(f"{_called(function)} is {kind}: a plain function is needed")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        raise TypeError(f"{_called(function)} does not say what it takes: wrap it in a function, {form}") from None
    count = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return len(offered)
        required = parameter.default is parameter.empty
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            if required and parameter.kind is parameter.KEYWORD_ONLY:
                raise TypeError(f"its parameter {parameter.name} has to be given by name: {form}")
            continue
        wanted = offered[count] if count < len(offered) else None
        if required and (wanted is None or (parameter.name in offered and parameter.name != wanted)):
            raise TypeError(f"its parameter {parameter.name} is number {count + 1}: {form}, in this order")
        if not required and parameter.name != wanted:
            break
        count += 1
    return count
