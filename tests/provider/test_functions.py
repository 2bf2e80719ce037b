"""Declaring metrics as functions: what is taken, what is refused with which sentence, and who is told."""

# ruff: noqa: ARG005 - what a function takes is what is tested

from __future__ import annotations

import asyncio
import functools
import math
import queue
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metrics_apiserver.provider.functions
from metrics_apiserver.provider import GroupResource, Quantity
from metrics_apiserver.provider.functions import NAMESPACE_ALL, NAMESPACE_DEFAULT, Metrics, Registration, Value, every
from metrics_apiserver.provider.functions.values import parse_label_set


def nothing() -> None:
    return None


def declared(
    function: Callable[..., Any] = nothing, **keywords: Any
) -> metrics_apiserver.provider.functions.Declaration:
    metrics = Metrics()
    metrics.external("depth", **keywords)(function)
    return metrics.registrations[0].declaration


def test_exported_names_are_sorted_and_there() -> None:
    """What an author may import is exactly this list."""
    names = metrics_apiserver.provider.functions.__all__
    assert all(hasattr(metrics_apiserver.provider.functions, name) for name in names)
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))


@pytest.mark.parametrize(
    ("keywords", "seconds"),
    [
        pytest.param({"seconds": 5}, 5, id="seconds"),
        pytest.param({"minutes": 1.5}, 90, id="a minute and a half"),
        pytest.param({"hours": 1, "minutes": 1, "seconds": 1}, 3661, id="parts are added up"),
    ],
)
def test_period_is_in_seconds(keywords: dict[str, float], seconds: float) -> None:
    assert every(**keywords).seconds == seconds


@pytest.mark.parametrize(
    "keywords",
    [
        pytest.param({}, id="no time at all"),
        pytest.param({"seconds": 0.01}, id="too short"),
        pytest.param({"seconds": -5}, id="negative"),
        pytest.param({"seconds": math.nan}, id="not a number"),
        pytest.param({"hours": 8760}, id="a year"),
    ],
)
def test_period_has_to_be_of_a_sensible_length(keywords: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"a period of .* must be at least 0.1 s and less than a year"):
        every(**keywords)


class Counter:
    """A callable object."""

    def __call__(self, ctx: Any, namespace: Any) -> int:
        return 1

    def method(self, ctx: Any) -> int:
        return 1


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        pytest.param(lambda: 1, 0, id="nothing"),
        pytest.param(lambda ctx: 1, 1, id="the context"),
        pytest.param(lambda c, n: 1, 2, id="names of their own in our order"),
        pytest.param(lambda ctx, namespace, name: 1, 3, id="all"),
        pytest.param(lambda *everything: 1, 3, id="any number"),
        pytest.param(lambda ctx, *rest: 1, 3, id="one and any number"),
        pytest.param(lambda ctx, retries=3: 1, 1, id="an option of its own is left alone"),
        pytest.param(lambda ctx, namespace="x": 1, 2, id="an option with our name is given"),
        pytest.param(lambda ctx, *, retries=3: 1, 1, id="a keyword with a default is left alone"),
        pytest.param(lambda ctx, **options: 1, 1, id="any keywords are left alone"),
        pytest.param(Counter(), 2, id="a callable object"),
        pytest.param(Counter().method, 1, id="a method"),
        pytest.param(functools.partial(lambda url, ctx: 1, "http://queue"), 1, id="a partial function"),
    ],
)
def test_function_is_given_as_many_arguments_as_it_takes(function: Callable[..., Any], arguments: int) -> None:
    assert declared(function).arguments == arguments


async def coroutine(ctx: Any) -> int:
    return 1


def generator(ctx: Any) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        pytest.param(42, "42 is not a function", id="no function"),
        pytest.param(lambda a, b, c, d: 1, "its parameter d is number 4", id="too many"),
        pytest.param(lambda name: 1, r"its parameter name is number 1: .*\(ctx, namespace, name\)", id="wrong order"),
        pytest.param(lambda *, url: 1, "its parameter url has to be given by name", id="a keyword without default"),
        pytest.param(coroutine, "is a coroutine: a plain function is needed", id="a coroutine"),
        pytest.param(generator, "is a generator: a plain function is needed", id="a generator"),
        pytest.param(dict, "does not say what it takes", id="a class without a signature"),
    ],
)
def test_function_that_fits_no_form_is_refused(function: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=f"external metric depth: .*{sentence}"):
        declared(function)


def test_custom_function_is_called_with_objects() -> None:
    metrics = Metrics()
    registration = metrics.add_custom_metric(NAMESPACE_ALL, "pods", "sessions", None, lambda ctx, objects: {})
    assert registration.declaration.arguments == 2
    with pytest.raises(TypeError, match=r"custom metric pods/sessions: its parameter name is number 3"):
        metrics.add_custom_metric("shop", "pods", "sessions", None, lambda ctx, objects, name: {})


@pytest.mark.parametrize(
    ("trigger", "sentence"),
    [
        pytest.param(5, r"the trigger is the number 5: write every\(seconds=5\)", id="a number"),
        pytest.param("5s", "the trigger is '5s': it must be every", id="a text"),
        pytest.param(nothing, "it must be every", id="a function"),
        pytest.param(asyncio.Queue(), "use a queue.Queue", id="a queue of asyncio"),
    ],
)
def test_what_is_no_trigger_is_refused(trigger: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=f"external metric depth: .*{sentence}"):
        declared(trigger=trigger)


@pytest.mark.parametrize(
    ("trigger", "when_asked", "period"),
    [
        pytest.param(None, True, None, id="when asked"),
        pytest.param(every(seconds=5), False, 5, id="a period"),
        pytest.param([1, 2], False, None, id="a list of events"),
        pytest.param(iter([1]), False, None, id="an iterator of events"),
        pytest.param(queue.SimpleQueue(), False, None, id="a queue of events"),
    ],
)
def test_trigger_says_when(trigger: Any, *, when_asked: bool, period: float | None) -> None:
    declaration = declared(trigger=trigger)
    assert (declaration.when_asked, declaration.period) == (when_asked, period)


@pytest.mark.parametrize(
    ("namespace", "namespaces"),
    [
        pytest.param(NAMESPACE_ALL, ("*",), id="every namespace"),
        pytest.param(NAMESPACE_DEFAULT, ("default",), id="one"),
        pytest.param(["shop", "mail"], ("shop", "mail"), id="several"),
    ],
)
def test_namespaces_are_taken(namespace: Any, namespaces: tuple[str, ...]) -> None:
    assert declared(namespace=namespace).namespaces == namespaces


@pytest.mark.parametrize(
    ("namespace", "sentence"),
    [
        pytest.param("", "'' is not a namespace", id="an empty text"),
        pytest.param([], "the list of namespaces is empty", id="no namespace"),
        pytest.param("team-*", "'team-\\*' is not a namespace", id="a glob"),
        pytest.param(["shop", "*"], "NAMESPACE_ALL is every namespace already", id="all and one"),
        pytest.param(["shop", "shop"], "the namespace shop is given twice", id="twice"),
        pytest.param([3], "3 is not a namespace", id="no text"),
        pytest.param("x" * 64, "is not a namespace", id="too long"),
    ],
)
def test_wrong_namespaces_are_refused(namespace: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"external metric depth: .*{sentence}"):
        declared(namespace=namespace)


@pytest.mark.parametrize(
    ("trigger", "given", "max_age"),
    [
        pytest.param(every(seconds=5), None, 60, id="at least a minute"),
        pytest.param(every(seconds=30), None, 300, id="ten periods"),
        pytest.param(every(seconds=5), 7, 7, id="seconds"),
        pytest.param(every(seconds=5), timedelta(minutes=2), 120, id="a timedelta"),
        pytest.param([], None, None, id="events have none"),
        pytest.param(None, None, None, id="when asked there is none"),
    ],
)
def test_max_age_is_ten_periods_unless_it_is_set(trigger: Any, given: Any, max_age: float | None) -> None:
    assert declared(trigger=trigger, max_age=given).max_age == max_age


@pytest.mark.parametrize(
    ("trigger", "given", "sentence"),
    [
        pytest.param(every(seconds=5), 0, "max_age=0: it must be a number of seconds above 0", id="zero"),
        pytest.param(every(seconds=5), math.inf, "max_age=inf", id="infinite"),
        pytest.param(None, 60, "a function that is called when asked has none", id="when asked"),
    ],
)
def test_wrong_max_age_is_refused(trigger: Any, given: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        declared(trigger=trigger, max_age=given)


@pytest.mark.parametrize("name", ["", "a/b", 3])
def test_wrong_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="a name is a text that is not empty and has no slash"):
        Metrics().external(name)(nothing)


@pytest.mark.parametrize("resource", ["", 3])
def test_wrong_resource_is_refused(resource: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a resource: write pods, or deployments\.apps"):
        Metrics().custom(resource, "rps")(nothing)


def test_decorated_function_stays_as_it_is() -> None:
    """So that it can have several names, and be called by a test."""
    metrics = Metrics()
    assert metrics.external("a")(metrics.custom("deployments.apps", "b")(nothing)) is nothing
    custom, external = (registration.declaration for registration in metrics.registrations)
    assert (external.name, external.resource) == ("a", None)
    assert (custom.name, custom.resource) == ("b", GroupResource("deployments", "apps"))
    assert (str(external), str(custom)) == ("external metric a", "custom metric deployments.apps/b")


def test_name_is_free_for_another_namespace_only() -> None:
    """Of one namespace there is one; a custom metric is another thing than an external one."""
    metrics = Metrics()
    metrics.add_metric(["shop", "mail"], "depth", None, nothing)
    metrics.add_metric(NAMESPACE_ALL, "depth", None, nothing)
    metrics.add_custom_metric("shop", "pods", "depth", None, nothing)
    with pytest.raises(ValueError, match="external metric depth of the namespace mail is registered already, by nothi"):
        metrics.add_metric(["new", "mail"], "depth", None, nothing)
    with pytest.raises(ValueError, match="external metric depth of every namespace is registered already, by nothing"):
        metrics.add_metric(NAMESPACE_ALL, "depth", None, nothing)
    assert len(metrics.registrations) == 3
    metrics.add_metric("new", "depth", None, nothing)


def test_cancelled_name_can_be_registered_again() -> None:
    metrics = Metrics()
    handle = metrics.add_metric(NAMESPACE_DEFAULT, "depth", every(seconds=5), nothing)
    handle.cancel()
    handle.cancel()
    assert metrics.registrations == ()
    metrics.add_metric(NAMESPACE_DEFAULT, "depth", every(seconds=5), nothing)


class Told:
    """A watcher that notes what it is told, and refuses one name."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.heard: list[str] = []

    def added(self, registration: Registration) -> None:
        if registration.declaration.name == self.refused:
            raise ValueError("no")
        self.heard.append(f"+{registration.declaration.name}")

    def removed(self, registration: Registration) -> None:
        self.heard.append(f"-{registration.declaration.name}")


def test_watcher_is_told_of_what_is_there_and_of_what_comes() -> None:
    metrics, told = Metrics(), Told()
    first = metrics.add_metric(NAMESPACE_ALL, "first", None, nothing)
    unwatch = metrics.watch(told)
    metrics.add_metric(NAMESPACE_ALL, "second", None, nothing)
    first.cancel()
    unwatch()
    metrics.add_metric(NAMESPACE_ALL, "third", None, nothing)
    assert told.heard == ["+first", "+second", "-first"]


def test_metric_that_one_watcher_refuses_is_not_registered() -> None:
    """Those that were told before it hear that it is gone."""
    metrics, told = Metrics(), Told()
    metrics.watch(told)
    metrics.watch(Told("bad"))
    with pytest.raises(ValueError, match="no"):
        metrics.add_metric(NAMESPACE_ALL, "bad", None, nothing)
    assert (told.heard, metrics.registrations) == (["+bad", "-bad"], ())


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(42, "42", id="an int"),
        pytest.param(0.1, "100m", id="a float"),
        pytest.param(Decimal("1.5"), "1500m", id="a Decimal"),
        pytest.param(Fraction(1, 4), "250m", id="a fraction"),
        pytest.param("64Mi", "64Mi", id="the text of a quantity"),
        pytest.param(Quantity.of(3), "3", id="a quantity"),
        pytest.param(None, "None", id="None is no data"),
        pytest.param(math.nan, "None", id="NaN is no data"),
        pytest.param(-math.inf, "None", id="infinity is no data"),
        pytest.param(Decimal("NaN"), "None", id="NaN as a Decimal"),
    ],
)
def test_value_takes_any_number(number: Any, expected: str) -> None:
    value = Value(number).add_selector("queue", "orders", number)
    assert (value.has_base, str(value.base)) == (True, expected)
    assert [str(quantity) for _, quantity in value.series] == ([] if expected == "None" else [expected])


def test_value_without_a_base() -> None:
    """It is not the same as a base without data."""
    value = Value().add_labels({"b": "2", "a": "1"}, 3).add_selector("a", "1", 4)
    assert (value.has_base, value.base) == (False, None)
    assert [(dict(labels), str(number)) for labels, number in value.series] == [
        ({"a": "1", "b": "2"}, "3"),
        ({"a": "1"}, "4"),
    ]


@pytest.mark.parametrize(
    ("make", "kind", "sentence"),
    [
        pytest.param(lambda: Value(True), TypeError, "True is not a number, but a truth: write 1 or 0", id="a bool"),
        pytest.param(lambda: Value([1]), TypeError, r"\[1\] is not a number: give an int", id="a list"),
        pytest.param(
            lambda: Value("many"),
            ValueError,
            "the text 'many' is not a quantity such as 12, 1.5 or 250m$",
            id="a text that is none",
        ),
        pytest.param(
            lambda: Value("42\n"), ValueError, "it has white space around it", id="a line's end after the number"
        ),
        pytest.param(lambda: Value().add_selector("a", "b", " 1.5 "), ValueError, "white space", id="spaces around it"),
        pytest.param(lambda: Value(" "), ValueError, "is not a quantity such as 12, 1.5 or 250m$", id="a space alone"),
        pytest.param(
            lambda: Value(timestamp=datetime(2026, 1, 1)),  # noqa: DTZ001 - what is tested
            ValueError,
            "must be a datetime with its time zone",
            id="a time without its zone",
        ),
        pytest.param(lambda: Value().add_labels({}, 1), ValueError, "a label set needs a label", id="no label"),
        pytest.param(lambda: Value().add_selector("", "x", 1), ValueError, "has no key", id="no key"),
        pytest.param(lambda: Value().add_selector("a", "\udc80", 1), ValueError, "UTF-8", id="half a character"),
        pytest.param(lambda: Value().add_selector("a", "x" * 4096, 1), ValueError, "4096 bytes", id="a long value"),
        pytest.param(
            lambda: Value().add_selector("shard", 3, 1),  # type: ignore[arg-type]
            TypeError,
            "the label 'shard'=3 must be two texts",
            id="a number as a label's value",
        ),
        pytest.param(
            lambda: Value().add_labels({"a": "1", "b": "2"}, 1).add_labels({"b": "2", "a": "1"}, 2),
            ValueError,
            "the label set a=1,b=2 is given twice",
            id="twice in another order",
        ),
    ],
)
def test_value_refuses_what_is_wrong(make: Callable[[], Value], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        make()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        pytest.param("queue", "orders", "", id="a label"),
        pytest.param("path", "/api/v1", "the value '/api/v1' of the label path cannot be one", id="a path as a value"),
        pytest.param("queue", "x" * 64, "must be no more than 63 bytes", id="a long value"),
        pytest.param("queue", "größe", "of the label queue cannot be one of Kubernetes", id="another alphabet"),
        pytest.param("a", "b=c", "of the label a cannot be one of Kubernetes", id="an equals sign in a value"),
        pytest.param("-", "x", "the label '-' cannot be a label", id="a key that no label can have"),
    ],
)
def test_series_that_no_selector_can_name_is_there_and_says_why(key: str, value: str, sentence: str) -> None:
    made = Value().add_selector("fine", "yes", 1).add_selector(key, value, 2)
    assert [str(number) for _, number in made.series] == ["1", "2"]
    assert sentence in made.unselectable
    assert bool(made.unselectable) == bool(sentence)


def test_value_carries_its_time() -> None:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    assert (Value(1, timestamp=time).timestamp, Value(1).timestamp) == (time, None)


KEYS = st.from_regex(r"\A([a-z]{1,5}\.[a-z]{1,3}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?\Z")
VALUES = st.from_regex(r"\A([A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?)?\Z")


@given(st.dictionaries(KEYS, VALUES, min_size=1), st.sampled_from(["", " ", "  "]))
def test_label_set_is_read_as_it_is_written(labels: dict[str, str], blank: str) -> None:
    """Whatever labels Kubernetes allows, with blanks around them or without."""
    text = f"{blank},{blank}".join(f"{key}{blank}={blank}{value}" for key, value in labels.items())
    assert parse_label_set(text) == labels


@given(st.text())
def test_any_text_is_a_label_set_or_refused(text: str) -> None:
    """Nothing but ValueError leaves the reader."""
    try:
        labels = parse_label_set(text)
    except ValueError:
        return
    assert all(f"{key}" in text and value in text for key, value in labels.items())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("queue", "'queue' is not a label set: write \"key=value,key2=value2\"", id="no equals sign"),
        pytest.param("a=1,", "is not a label set", id="a comma at the end"),
        pytest.param("a=1,a=2", "has the label a twice", id="a label twice"),
        pytest.param("=x", "is not a label set", id="no key"),
    ],
)
def test_wrong_label_set_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_label_set(text)


@pytest.mark.parametrize(
    ("namespace", "other"), [("*", "*"), ("shop", "post"), ("*", "shop")], ids=["everywhere", "two", "one of all"]
)
def test_external_names_that_differ_in_case_only_are_refused(namespace: str, other: str) -> None:
    """The autoscaler could ask for one of them only; custom names are asked for as they are."""
    metrics = Metrics()
    handle = metrics.add_metric(namespace, "Queue-Depth", None, lambda: 1)
    with pytest.raises(ValueError, match="is registered already as Queue-Depth: the case"):
        metrics.add_metric(other, "queue-depth", None, lambda: 2)
    handle.cancel()
    metrics.add_metric(other, "queue-depth", None, lambda: 2)
    metrics.add_custom_metric("*", "pods", "Queue", None, lambda: 1)
    metrics.add_custom_metric("*", "pods", "queue", None, lambda: 1)


@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        pytest.param("deployments.apps/v1", "is not a resource: write pods, or deployments.apps", id="an apiVersion"),
        pytest.param("pods/log", "is not a resource", id="a subresource"),
        pytest.param("apps/v1/deployments", "is not a resource", id="a path"),
        pytest.param("two words", "is not a resource", id="words"),
        pytest.param("", "is not a resource", id="nothing"),
        pytest.param(GroupResource("pods", "a b"), "is not a resource", id="an object of two words"),
        pytest.param("deployments.v1.apps", "has a version, .*: write deployments.apps", id="a version"),
        pytest.param("pods.v1", "has a version, .*: write pods$", id="a version of the core"),
        pytest.param("widgets.v1beta1.example.com", "write widgets.example.com", id="a beta version"),
    ],
)
def test_resource_that_can_never_be_served_is_refused(resource: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Metrics().custom(resource, "queue")(lambda: 1)


@pytest.mark.parametrize("resource", ["pods", "Deployment.apps", "ingresses.networking", "widgets.vendor.example.com"])
def test_resource_that_a_cluster_may_have_is_taken(resource: str) -> None:
    Metrics().custom(resource, "queue")(lambda: 1)


def test_decorator_without_parentheses_is_told_of_them() -> None:
    metrics = Metrics()
    with pytest.raises(TypeError, match=r'depth: the decorator needs parentheses: @metrics\.external\("queue-depth"\)'):

        @metrics.external  # type: ignore[arg-type]
        def depth() -> int:
            return 1

    with pytest.raises(TypeError, match=r'sessions: .*: @metrics\.custom\("pods", "open-sessions"\)'):

        @metrics.custom  # type: ignore[arg-type]
        def sessions() -> int:
            return 1
