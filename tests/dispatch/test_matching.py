"""Which reads an instance is asked for: globs on names, and a label that the read requires."""

from __future__ import annotations

import pytest

from metrics_apiserver.apis.custom import SelectorRead
from metrics_apiserver.apis.external import ExternalRead
from metrics_apiserver.dispatch.matching import Matcher
from metrics_apiserver.model import selectors
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo
from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.settings import MatchSettings

PODS, DEPLOYMENTS = GroupResource("pods"), GroupResource("deployments", "apps")


def custom(
    *match: MatchSettings,
    namespace: str = "shop",
    resource: GroupResource = PODS,
    metric: str = "queue-depth",
    selector: str = "",
) -> bool:
    info = CustomMetricInfo(resource, metric, namespaced=True)
    return Matcher(match).fits(SelectorRead(namespace, selectors.parse(""), info, selectors.parse(selector)))


def external(*match: MatchSettings, namespace: str = "shop", metric: str = "queue-depth", selector: str = "") -> bool:
    return Matcher(match).fits(ExternalRead(namespace, ExternalMetricInfo(metric), selectors.parse(selector)))


@pytest.mark.parametrize(
    ("match", "of_custom", "of_external"),
    [
        pytest.param((), True, True, id="nothing said: every read"),
        pytest.param((MatchSettings(),), True, True, id="a rule that says nothing: every read"),
        pytest.param((MatchSettings(api="custom"),), True, False, id="custom metrics only"),
        pytest.param((MatchSettings(api="external"),), False, True, id="external metrics only"),
        pytest.param((MatchSettings(resources=("*",)),), True, False, id="any resource, which no external read has"),
        pytest.param((MatchSettings(metrics=("queue-*",)),), True, True, id="the metric fits"),
        pytest.param((MatchSettings(metrics=("queue",)),), False, False, id="the whole name has to fit"),
        pytest.param((MatchSettings(metrics=("Queue-*",)),), False, True, id="capitals count in custom names only"),
        pytest.param((MatchSettings(metrics=("a", "queue-?epth")),), True, True, id="one glob of two fits"),
        pytest.param((MatchSettings(namespaces=("sh[aeiou]p",)),), True, True, id="the namespace fits"),
        pytest.param((MatchSettings(namespaces=("team-*",)),), False, False, id="the namespace does not fit"),
        pytest.param(
            (MatchSettings(namespaces=("shop",), metrics=("x",)),), False, False, id="all that is said has to fit"
        ),
        pytest.param((MatchSettings(metrics=("x",)), MatchSettings()), True, True, id="one rule of two fits"),
        pytest.param(
            (MatchSettings(api="external", metrics=("queue-*",)), MatchSettings(api="custom", metrics=("x",))),
            False,
            True,
            id="each rule is about its own API",
        ),
    ],
)
def test_read(match: tuple[MatchSettings, ...], of_custom: bool, of_external: bool) -> None:
    """A read of queue-depth in the namespace shop, of a pod where it is custom."""
    assert (custom(*match), external(*match)) == (of_custom, of_external)


@pytest.mark.parametrize(
    ("glob", "of_pods", "of_deployments"),
    [
        pytest.param("pods", True, False, id="a resource of the core"),
        pytest.param("deployments.apps", False, True, id="a resource with its group"),
        pytest.param("deployments", False, False, id="without its group it is the core's"),
        pytest.param("*.apps", False, True, id="a whole group"),
        pytest.param("*", True, True, id="every resource"),
        pytest.param("pod", False, False, id="the singular"),
    ],
)
def test_resource(glob: str, of_pods: bool, of_deployments: bool) -> None:
    """Names are the plural with its group: dispatch has made them so."""
    rule = MatchSettings(resources=(glob,))
    assert (custom(rule, resource=PODS), custom(rule, resource=DEPLOYMENTS)) == (of_pods, of_deployments)


@pytest.mark.parametrize(
    ("glob", "namespace", "fits"),
    [
        pytest.param("*", "", True, id="the root, of any"),
        pytest.param("", "", True, id="the root, named"),
        pytest.param("shop", "", False, id="the root is in no namespace"),
        pytest.param("shop", "*", False, id="every namespace is more than one"),
        pytest.param("*", "*", True, id="every namespace"),
    ],
)
def test_namespace_that_is_none(glob: str, namespace: str, fits: bool) -> None:
    """The root scope has the empty namespace, and an external read of every namespace has `*`."""
    rule = MatchSettings(namespaces=(glob,))
    assert custom(rule, namespace=namespace) is fits
    assert external(rule, namespace=namespace) is fits


@pytest.mark.parametrize(
    ("label", "selector", "fits"),
    [
        pytest.param("provider", "", False, id="nothing is required"),
        pytest.param("provider", "provider", True, id="the key has to exist"),
        pytest.param("provider", "provider=queues", True, id="the key has a value"),
        pytest.param("provider", "provider in (a,b)", True, id="the key has one of two values"),
        pytest.param("provider", "provider>3", True, id="the key has a number"),
        pytest.param("provider", "provider!=a", False, id="a series without the key would do"),
        pytest.param("provider", "provider notin (a)", False, id="as with notin"),
        pytest.param("provider", "!provider", False, id="the key must not be there"),
        pytest.param("provider", "other=provider", False, id="another key"),
        pytest.param("provider=queues", "provider=queues", True, id="the value"),
        pytest.param("provider=queues", "provider==queues", True, id="the value, with two equals signs"),
        pytest.param("provider=queues", "provider=mail", False, id="another value"),
        pytest.param("provider=queues", "provider", False, id="any value"),
        pytest.param("provider=queues", "a=b,provider=queues,z", True, id="among others"),
        pytest.param("provider=q*", "provider in (queues,quick)", True, id="every possible value fits"),
        pytest.param("provider=q*", "provider in (queues,mail)", False, id="one possible value does not"),
        pytest.param("provider=q*", "provider in (queues,mail),provider!=mail", True, id="which is excluded"),
        pytest.param("provider=q*", "provider in (queues,mail),provider in (queues)", True, id="or left out"),
        pytest.param("provider=q*", "provider=queues,provider=mail", False, id="no value is possible"),
        pytest.param("provider=q*", "provider!=mail", False, id="exclusions alone require nothing"),
        pytest.param("provider=", "provider=", True, id="the empty value"),
        pytest.param("provider=*", "provider=", True, id="the empty value fits a star"),
    ],
)
def test_label(label: str, selector: str, fits: bool) -> None:
    """Every series that the read may be answered with has to have the label."""
    rule = MatchSettings(label=label)
    assert custom(rule, selector=selector) is fits
    assert external(rule, selector=selector) is fits


@pytest.mark.parametrize(
    ("match", "pods", "queue"),
    [
        pytest.param((), True, True, id="nothing said"),
        pytest.param((MatchSettings(api="external"),), False, True, id="external metrics only"),
        pytest.param((MatchSettings(metrics=("q*",)),), False, True, id="names"),
        pytest.param((MatchSettings(resources=("pods",)),), True, False, id="a resource, which no external metric has"),
        pytest.param((MatchSettings(resources=("jobs.*",)),), False, False, id="another resource"),
        pytest.param((MatchSettings(namespaces=("shop",)),), True, True, id="a namespace: in that it is there"),
        pytest.param((MatchSettings(label="team=a"),), True, True, id="a label: with that it is there"),
        pytest.param((MatchSettings(metrics=("x",)), MatchSettings(metrics=("rps",))), True, False, id="two rules"),
    ],
)
def test_metrics_that_are_listed_are_those_that_some_read_fits(
    match: tuple[MatchSettings, ...], pods: bool, queue: bool
) -> None:
    tried = Matcher(match)
    assert tried.lists("custom", CustomMetricInfo(PODS, "rps", namespaced=True)) == pods
    assert tried.lists("external", ExternalMetricInfo("queue")) == queue


@pytest.mark.parametrize(("glob", "metric"), [("Queue-*", "queue-depth"), ("queue-*", "Queue-Depth")])
def test_external_names_have_no_case(glob: str, metric: str) -> None:
    """The autoscaler asks for them in lower case, and for custom ones as they are."""
    match = MatchSettings(metrics=(glob,))
    assert external(match, metric=metric)
    assert not custom(match, metric=metric)
    assert Matcher([match]).lists("external", ExternalMetricInfo(metric))
    assert not Matcher([match]).lists("custom", CustomMetricInfo(PODS, metric, namespaced=True))
