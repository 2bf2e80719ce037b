"""Who answers when several providers are configured, and in which order they are asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from metrics_apiserver.apis.custom import CUSTOM_METRICS_API
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.errors import (
    BadGatewayError,
    MetricNotFoundError,
    NotFoundError,
    ResourceNotFoundError,
    ServiceUnavailableError,
)
from metrics_apiserver.model.metrics import ExternalMetricInfo
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import GroupResource, NamespacedName
from metrics_apiserver.provider import RequestContext, UserInfo
from metrics_apiserver.settings import MatchSettings, PolicySettings
from tests.dispatch.making import SEVEN, ZERO, Gate, Scripted, instance, last, read_external, series, would_wait
from tests.dispatch.making import router as router_of
from tests.fakes import TableProvider, info

ONE = {("cart-0", "rps"): 1, ("cart-0", "only-one"): 1}
TWO = {("cart-0", "rps"): 2, ("db-0", "rps"): 2, ("cart-0", "only-two"): 2}


def router(*providers: Any) -> Router:
    return router_of(*(instance(provider, name=f"provider-{number}") for number, provider in enumerate(providers)))


def read(asked: Router, path: str, **parameters: str) -> list[tuple[str, str]]:
    values = asked.read(CUSTOM_METRICS_API.parse(path.split("/"), parameters), audit_id="a")
    return [(value.described_object.name, str(value.value)) for value in values]


@pytest.mark.parametrize(
    ("order", "path", "expected"),
    [
        pytest.param((ONE, TWO), "pods/cart-0/rps", [("cart-0", "1")], id="both have it: the first answers"),
        pytest.param((TWO, ONE), "pods/cart-0/rps", [("cart-0", "2")], id="both have it, turned round"),
        pytest.param((ONE, TWO), "pods/cart-0/only-two", [("cart-0", "2")], id="not found goes on to the next"),
        pytest.param((TWO, ONE), "pods/cart-0/only-two", [("cart-0", "2")], id="the first has it alone"),
        pytest.param((ONE, TWO), "pods/*/rps", [("cart-0", "1")], id="a list that is not empty stands"),
        pytest.param((TWO, ONE), "pods/*/rps", [("cart-0", "2"), ("db-0", "2")], id="the first list, turned round"),
        pytest.param((ONE, TWO), "pods/*/only-two", [("cart-0", "2")], id="an empty list goes on to the next"),
        pytest.param((ONE, TWO), "pods/*/nobody", [], id="every list is empty"),
    ],
)
def test_order(order: tuple[dict[Any, Any], ...], path: str, expected: list[tuple[str, str]]) -> None:
    """Providers are asked in the order of the configuration."""
    assert read(router(*map(TableProvider, order)), f"namespaces/shop/{path}") == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param(({"q": [1]}, {"q": [2]}), ["1"], id="the first that has series answers"),
        pytest.param(({"q": [2]}, {"q": [1]}), ["2"], id="turned round"),
        pytest.param(({}, {"q": [2]}), ["2"], id="no series goes on to the next"),
        pytest.param(({}, {}), [], id="nobody knows it"),
    ],
)
def test_external_order(order: tuple[dict[str, Any], ...], expected: list[str]) -> None:
    """The same rule for external metrics."""
    asked = router(
        *(TableProvider(external={k: [Quantity.of(v) for v in vs] for k, vs in table.items()}) for table in order)
    )
    values = asked.read(EXTERNAL_METRICS_API.parse(("namespaces", "shop", "q"), {}), audit_id="a")
    assert [str(value.value) for value in values] == expected


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        pytest.param(ServiceUnavailableError("down"), ServiceUnavailableError, id="unavailable"),
        pytest.param(RuntimeError("bug"), BadGatewayError, id="a bug"),
    ],
)
@pytest.mark.parametrize("path", ["pods/cart-0/rps", "pods/*/rps"], ids=["by name", "by selector"])
def test_any_other_failure_stops(first: Exception, expected: type[Exception], path: str) -> None:
    """A provider that is down must not be covered up by the next one's answer."""
    asked = router(TableProvider({("cart-0", "rps"): first}), TableProvider(TWO))
    with pytest.raises(expected):
        read(asked, f"namespaces/shop/{path}")


def test_last_not_found_stands() -> None:
    """The sentence is the last provider's, here with the selector that it was asked with."""
    with pytest.raises(MetricNotFoundError) as caught:
        read(router(TableProvider(), TableProvider()), "namespaces/shop/pod/x/rps", metricLabelSelector="a=b")
    assert caught.value.message == "the server could not find the metric rps for pods x with selector a=b"


def test_without_a_provider_nothing_is_found() -> None:
    """A server whose providers only know external metrics answers custom reads with upstream's sentence."""
    with pytest.raises(MetricNotFoundError, match="the metric rps for pods cart-0"):
        read(router(), "namespaces/shop/pods/cart-0/rps")


def test_names_are_normalised_before_a_provider_is_asked() -> None:
    """A provider sees one name for a resource: the plural with its group."""
    provider = TableProvider({("cart", "q"): 5})
    read(router(provider), "namespaces/shop/deployment/cart/q")
    ((_, info),) = provider.asked
    assert info.group_resource == GroupResource("deployments", "apps")


def test_unknown_resource_reaches_no_provider() -> None:
    """The mapper refuses it first."""
    provider = TableProvider()
    with pytest.raises(ResourceNotFoundError):
        read(router(provider), "namespaces/shop/nonsense/x/y")
    assert provider.asked == []


def test_series_selector_is_echoed_where_the_provider_did_not() -> None:
    """Authors need not build a LabelSelector themselves."""
    query = CUSTOM_METRICS_API.parse(("namespaces", "shop", "pods", "cart-0", "rps"), {"metricLabelSelector": "a=b"})
    (value,) = router(TableProvider(ONE)).read(query, audit_id="a")
    assert value.metric.selector is not None
    assert value.metric.selector.match_labels == {"a": "b"}


def test_writes_without_a_writable_provider_are_not_found() -> None:
    """As if the routes were not there."""
    with pytest.raises(NotFoundError):
        router(TableProvider()).delete_external("shop", ExternalMetricInfo("q"), {}, audit_id="a")
    with pytest.raises(NotFoundError):
        router(TableProvider()).delete_custom(NamespacedName("shop", "x"), info("pods", "rps"), audit_id="a")


def scripted(*values: int, **settings: Any) -> Instance:
    """An instance that has these series of the queue."""
    return instance(Scripted(lambda _: series(*values), from_memory=True), **settings)


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        pytest.param(({"next_on_not_found": False}, {"values": (2,)}), [], id="nothing, and it stops there"),
        pytest.param(({}, {"values": (2,)}), ["2"], id="nothing, and the next is asked"),
        pytest.param(
            ({"values": (1,), "match": (MatchSettings(namespaces=("other",)),)}, {"values": (2,)}),
            ["2"],
            id="an instance that does not match is not asked",
        ),
        pytest.param(
            ({"policy": PolicySettings(on_empty=ZERO)}, {"values": (2,)}), ["2"], id="a policy waits for the last"
        ),
        pytest.param(
            ({"policy": PolicySettings(on_empty=ZERO)}, {"policy": PolicySettings(on_empty=SEVEN)}),
            ["7"],
            id="the policy of the instance whose answer stands",
        ),
        pytest.param(
            ({"policy": PolicySettings(on_empty=ZERO), "next_on_not_found": False}, {"values": (2,)}),
            ["0"],
            id="the policy of the instance that stops",
        ),
        pytest.param(({"match": (MatchSettings(api="custom"),)},), [], id="nobody matches"),
        pytest.param((), [], id="there is nobody"),
    ],
)
def test_rules_of_order(instances: tuple[dict[str, Any], ...], expected: list[str]) -> None:
    """Match, next or stop, and whose policy counts."""
    asked = [scripted(*each.pop("values", ()), name=f"p{number}", **each) for number, each in enumerate(instances)]
    assert read_external(router_of(*asked)) == expected


def test_failure_of_the_first_uses_its_own_policy() -> None:
    """The second is not asked, and its policy is none of this read's business."""

    def fail(_: Any) -> Any:
        raise ServiceUnavailableError("no")

    first = instance(Scripted(fail, from_memory=True), policy=PolicySettings(on_error=SEVEN))
    assert read_external(router_of(first, scripted(2, name="second"))) == ["7"]


def test_replaced_instances_are_asked_from_the_next_read_on() -> None:
    """A read under way finishes on the old ones."""
    gate = Gate()
    old, new = instance(Scripted(gate.hang), policy=PolicySettings(timeout=30)), scripted(2, name="new")
    asked = router_of(old, seconds=30)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(read_external, asked)
        gate.wait_for(1)
        asked.replace([new])
        old.close()
        assert read_external(asked) == ["2"]
        gate.open()
        assert under_way.result(10) == ["42"]
    assert not asked.wants_user


def test_user_is_wanted_as_soon_as_one_provider_wants_it() -> None:
    """Views then say who asks."""
    seen = []
    provider = Scripted(lambda ctx: seen.append(ctx.user) or series(1), from_memory=True, per_user=True)
    asked = router_of(scripted(match=(MatchSettings(api="custom"),)), instance(provider))
    assert asked.wants_user
    read_external(asked, user=UserInfo("ann"))
    assert seen == [UserInfo("ann")]


def has_nothing(_: RequestContext) -> None:
    """Do as a provider that has not the metric, so that the next one is asked."""
    raise MetricNotFoundError("pods", "rps", "cart-0")


SHOP, OTHERS = MatchSettings(namespaces=("shop",)), MatchSettings(namespaces=("team-*",))


@pytest.mark.parametrize(
    ("instances", "path", "expected"),
    [
        pytest.param([(True, True, ())], "pods/cart-0/rps", True, id="from memory, and believed"),
        pytest.param([(True, False, ())], "pods/cart-0/rps", False, id="from memory, and not believed"),
        pytest.param([(False, True, ())], "pods/cart-0/rps", False, id="not from memory"),
        pytest.param([(True, True, ())], "pod/cart-0/rps", True, id="by the singular"),
        pytest.param([(True, True, ())], "pods/*/rps", False, id="by selector: the list of objects may be waited for"),
        pytest.param([(True, True, ())], "unknowns/cart-0/rps", True, id="a resource that is known not to be there"),
        pytest.param([(True, True, ()), (False, True, ())], "pods/cart-0/rps", False, id="one of two is not"),
        pytest.param([(True, True, ()), (False, True, OTHERS)], "pods/cart-0/rps", True, id="the other is not asked"),
        pytest.param([(True, True, ()), (False, True, SHOP)], "pods/cart-0/rps", False, id="the other is asked"),
    ],
)
def test_reads_that_wait_for_nobody(instances: list[tuple[bool, bool, Any]], path: str, expected: bool) -> None:
    """They may be answered on the worker's loop: so nobody's word but our own is taken for it."""
    made = [
        instance(Scripted(has_nothing, from_memory=from_memory), trusted=trusted, match=(match,) if match else ())
        for from_memory, trusted, match in instances
    ]
    query = CUSTOM_METRICS_API.parse(("namespaces", "shop", *path.split("/")), {})
    assert would_wait(router_of(*made), query) is not expected


def test_external_reads_wait_for_nobody_either() -> None:
    query = EXTERNAL_METRICS_API.parse(("namespaces", "shop", "queue"), {})
    for per_user in (False, True):
        provider = Scripted(lambda _: [], from_memory=True, per_user=per_user)
        assert not would_wait(router_of(instance(provider, trusted=True)), query)


@pytest.mark.parametrize(
    ("series_of", "selector", "expected"),
    [
        pytest.param([500], "", True, id="so many series"),
        pytest.param([501], "", False, id="one more"),
        pytest.param([250], "a", True, id="half of them, each held against a requirement"),
        pytest.param([251], "a", False, id="one more, with a requirement"),
        pytest.param([99_000], "a=none", False, id="very many, of which none fits"),
        pytest.param([None], "", False, id="nobody knows how many"),
        pytest.param([300, 300], "", False, id="too many of two providers together"),
        pytest.param([0, 0], ",".join("abcdefgh"), True, id="none at all"),
    ],
)
def test_a_read_is_immediate_only_where_it_looks_at_few_series(
    series_of: list[int | None], selector: str, expected: bool
) -> None:
    """How many is known before any of them is looked at."""
    asked = []
    for number, count in enumerate(series_of):
        provider = Scripted(lambda _: [], from_memory=True)
        provider.series = count
        asked.append(instance(provider, name=f"p{number}", trusted=True))
    query = EXTERNAL_METRICS_API.parse(("namespaces", "shop", "queue"), {"labelSelector": selector})
    assert would_wait(router_of(*asked), query) is not expected


@pytest.mark.parametrize("kept_by", [{"on_empty": last(60)}, {"cache": 60.0}], ids=["onEmpty: last", "cache"])
def test_a_kept_answer_counts_as_series_too(kept_by: dict[str, Any]) -> None:
    """It may be given in place of the provider's, however few that has by now."""
    provider = Scripted(lambda _: series(*range(501)), from_memory=True)
    asked = router_of(instance(provider, trusted=True, policy=PolicySettings(**kept_by)))
    query = EXTERNAL_METRICS_API.parse(("namespaces", "shop", "queue"), {})
    assert len(read_external(asked)) == 501
    provider.does = lambda _: []
    assert would_wait(asked, query)
    assert len(read_external(asked)) == 501


@pytest.mark.parametrize(("count", "calls"), [(1000, 2), (1001, 1)], ids=["a thousand", "one more"])
def test_very_many_series_are_not_read_again_to_say_why_none_is_left(count: int, calls: int) -> None:
    provider = Scripted(lambda _: [], from_memory=True)
    provider.series = count
    assert read_external(router_of(instance(provider)), "a=none") == []
    assert provider.calls == calls
