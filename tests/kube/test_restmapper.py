"""Which resource a name means."""

from __future__ import annotations

import pytest

from metrics_apiserver.errors import ResourceNotFoundError, ServiceUnavailableError, WouldWaitError
from metrics_apiserver.kube.restmapper import ClusterMapper, ResourceTable
from metrics_apiserver.model.resources import GroupResource, GroupVersionResource, RESTMapping


def mapping(name: str, kind: str, *, singular: str = "", namespaced: bool = True) -> RESTMapping:
    """Make the mapping of `group/version/plural`."""
    group, version, plural = name.split("/", 2)
    return RESTMapping(GroupVersionResource(group, version, plural), kind, singular or kind.lower(), namespaced)


# In the order of discovery, except that the core comes last: the table itself puts it first.
TABLE = ResourceTable(
    [
        mapping("apps/v1/deployments", "Deployment"),
        mapping("apps/v1/deployments/scale", "Scale"),
        mapping("events.k8s.io/v1/events", "Event"),
        mapping("autoscaling/v2/horizontalpodautoscalers", "HorizontalPodAutoscaler"),
        mapping("autoscaling/v1/horizontalpodautoscalers", "HorizontalPodAutoscaler"),
        mapping("autoscaling/v1/olds", "Old"),
        mapping("metrics.k8s.io/v1beta1/pods", "PodMetrics"),
        mapping("metrics.k8s.io/v1beta1/onlymetrics", "OnlyMetrics"),
        mapping("custom.metrics.k8s.io/v1beta2/widgets", "MetricValueList"),
        mapping("external.metrics.k8s.io/v1beta1/externalmetrics", "ExternalMetricValueList"),
        mapping("example.com/v1/pods", "Pod"),
        mapping("example.com/v1/widgets", "Widget"),
        mapping("later.example.com/v1/widgets", "Widget"),
        mapping("later.example.com/v1/gadgets", "Thing", singular="gadget"),
        mapping("/v1/pods", "Pod"),
        mapping("/v1/events", "Event"),
        mapping("/v1/namespaces", "Namespace", namespaced=False),
    ]
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("pods", "/v1/pods", id="core wins over a CRD and over metrics-server of the same name"),
        pytest.param("pod", "/v1/pods", id="the singular names the same thing"),
        pytest.param("pods.example.com", "example.com/v1/pods", id="the CRD is found by its group"),
        pytest.param("events", "/v1/events", id="core wins over a group that was listed before it"),
        pytest.param("events.events.k8s.io", "events.k8s.io/v1/events", id="a group has dots"),
        pytest.param("deployments", "apps/v1/deployments", id="the group is optional"),
        pytest.param("deployment.apps", "apps/v1/deployments", id="the singular takes a group too"),
        pytest.param("widgets", "example.com/v1/widgets", id="the group that discovery lists first wins"),
        pytest.param("widget.later.example.com", "later.example.com/v1/widgets", id="the other is found by its group"),
        pytest.param("gadget", "later.example.com/v1/gadgets", id="the singular need not be the kind"),
        pytest.param(
            "horizontalpodautoscalers", "autoscaling/v2/horizontalpodautoscalers", id="the preferred version wins"
        ),
        pytest.param("Pods", "/v1/pods", id="the case of a name does not count"),
        pytest.param("DEPLOYMENT.apps", "apps/v1/deployments", id="nor that of a singular with its group"),
        pytest.param("events.events", "events.k8s.io/v1/events", id="the beginning of a group is enough"),
        pytest.param("widgets.example", "example.com/v1/widgets", id="it is the first that begins so"),
        pytest.param("Gadget.later", "later.example.com/v1/gadgets", id="of the singular too"),
        pytest.param("widgets.l", "later.example.com/v1/widgets", id="a letter of it is"),
        pytest.param("olds", "autoscaling/v1/olds", id="what only an older version has is found there"),
    ],
)
def test_a_name_means_one_resource(name: str, found: str) -> None:
    group, version, plural = found.split("/")
    assert TABLE.mapping_for(GroupResource.parse(name)).resource == GroupVersionResource(group, version, plural)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("nonsense", id="nobody has it"),
        pytest.param("nonsense.example.com", id="nobody has it in this group"),
        pytest.param("po", id="a short name"),
        pytest.param("deployments.v1.apps", id="a name with a version"),
        pytest.param("deployments.extensions", id="another group has it"),
        pytest.param("deployments.APPS", id="the case of a group counts"),
        pytest.param("deployments.pps", id="the end of a group"),
        pytest.param("deployments/scale", id="a subresource"),
        pytest.param("scale", id="a subresource's kind"),
        pytest.param("thing", id="a kind that is not the singular"),
        pytest.param("onlymetrics", id="only metrics-server has it"),
        pytest.param("pods.metrics.k8s.io", id="a group of metrics by its name"),
        pytest.param("widgets.custom.metrics.k8s.io", id="our own group by its name"),
        pytest.param("externalmetrics", id="our own placeholder"),
        pytest.param("", id="no name"),
    ],
)
def test_an_unknown_name_is_not_found(name: str) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        TABLE.mapping_for(GroupResource.parse(name))
    assert "deployments.apps" in caught.value.message
    assert "metrics.k8s.io" not in caught.value.message.split("known resources:")[1]


def test_the_table_lists_each_resource_once_core_first() -> None:
    names = [str(found.group_resource) for found in TABLE.mappings]
    assert names[:3] == ["pods", "events", "namespaces"]
    assert names.count("horizontalpodautoscalers.autoscaling") == 1


def test_scope_and_kind_are_the_clusters() -> None:
    found = TABLE.mapping_for(GroupResource("namespaces"))
    assert (found.kind, found.namespaced) == ("Namespace", False)


def test_a_mapper_without_a_table_says_why_and_answers_once_it_has_one() -> None:
    mapper = ClusterMapper()
    mapper.failed("connection refused")
    with pytest.raises(ServiceUnavailableError, match=r"have not been read yet\Z") as caught:
        mapper.mapping_for(GroupResource("pods"))
    assert caught.value.cause == "connection refused"
    assert mapper.problem == "the cluster's resources have not been read yet: connection refused"
    mapper.replace(TABLE)
    mapper.failed("connection refused")
    assert mapper.problem is None
    assert mapper.mapping_for(GroupResource("pod")).kind == "Pod"


def test_who_may_not_wait_is_told_what_is_known_already() -> None:
    """A name that is not in the table may be one of a resource that was just installed: only the cluster knows."""
    asked: list[int] = []

    def refresh() -> bool:
        asked.append(1)
        return False

    mapper = ClusterMapper(refresh)
    mapper.replace(TABLE)
    assert mapper.mapping_for(GroupResource("pod"), may_wait=False).kind == "Pod"
    with pytest.raises(WouldWaitError):
        mapper.mapping_for(GroupResource("nonsenses"), may_wait=False)
    assert asked == []
    with pytest.raises(ResourceNotFoundError):
        mapper.mapping_for(GroupResource("nonsenses"))
    assert asked == [1]
