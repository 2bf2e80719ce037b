"""The standard kinds: what a Kubernetes 1.36 without extensions serves, for when there is no cluster to ask."""

from __future__ import annotations

from metrics_apiserver.kube.restmapper import ResourceTable
from metrics_apiserver.model.resources import GroupVersion, GroupVersionResource, RESTMapping

__all__ = ["standard_resources"]

# Plural → kind by preferred version, in the order of kube-apiserver's discovery; singular names are the lower-cased
# kinds. `tests/kube/test_standard.py` holds this against what kube-apiserver 1.36.3 says.
_KINDS = {
    "v1": {
        "bindings": "Binding",
        "componentstatuses": "ComponentStatus",
        "configmaps": "ConfigMap",
        "endpoints": "Endpoints",
        "events": "Event",
        "limitranges": "LimitRange",
        "namespaces": "Namespace",
        "nodes": "Node",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "persistentvolumes": "PersistentVolume",
        "pods": "Pod",
        "podtemplates": "PodTemplate",
        "replicationcontrollers": "ReplicationController",
        "resourcequotas": "ResourceQuota",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apiregistration.k8s.io/v1": {
        "apiservices": "APIService",
    },
    "apps/v1": {
        "controllerrevisions": "ControllerRevision",
        "daemonsets": "DaemonSet",
        "deployments": "Deployment",
        "replicasets": "ReplicaSet",
        "statefulsets": "StatefulSet",
    },
    "events.k8s.io/v1": {
        "events": "Event",
    },
    "authentication.k8s.io/v1": {
        "selfsubjectreviews": "SelfSubjectReview",
        "tokenreviews": "TokenReview",
    },
    "authorization.k8s.io/v1": {
        "localsubjectaccessreviews": "LocalSubjectAccessReview",
        "selfsubjectaccessreviews": "SelfSubjectAccessReview",
        "selfsubjectrulesreviews": "SelfSubjectRulesReview",
        "subjectaccessreviews": "SubjectAccessReview",
    },
    "autoscaling/v2": {
        "horizontalpodautoscalers": "HorizontalPodAutoscaler",
    },
    "batch/v1": {
        "cronjobs": "CronJob",
        "jobs": "Job",
    },
    "certificates.k8s.io/v1": {
        "certificatesigningrequests": "CertificateSigningRequest",
    },
    "networking.k8s.io/v1": {
        "ingressclasses": "IngressClass",
        "ingresses": "Ingress",
        "ipaddresses": "IPAddress",
        "networkpolicies": "NetworkPolicy",
        "servicecidrs": "ServiceCIDR",
    },
    "policy/v1": {
        "poddisruptionbudgets": "PodDisruptionBudget",
    },
    "rbac.authorization.k8s.io/v1": {
        "clusterrolebindings": "ClusterRoleBinding",
        "clusterroles": "ClusterRole",
        "rolebindings": "RoleBinding",
        "roles": "Role",
    },
    "storage.k8s.io/v1": {
        "csidrivers": "CSIDriver",
        "csinodes": "CSINode",
        "csistoragecapacities": "CSIStorageCapacity",
        "storageclasses": "StorageClass",
        "volumeattachments": "VolumeAttachment",
        "volumeattributesclasses": "VolumeAttributesClass",
    },
    "admissionregistration.k8s.io/v1": {
        "mutatingadmissionpolicies": "MutatingAdmissionPolicy",
        "mutatingadmissionpolicybindings": "MutatingAdmissionPolicyBinding",
        "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
        "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
        "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding",
        "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
    },
    "apiextensions.k8s.io/v1": {
        "customresourcedefinitions": "CustomResourceDefinition",
    },
    "scheduling.k8s.io/v1": {
        "priorityclasses": "PriorityClass",
    },
    "coordination.k8s.io/v1": {
        "leases": "Lease",
    },
    "node.k8s.io/v1": {
        "runtimeclasses": "RuntimeClass",
    },
    "discovery.k8s.io/v1": {
        "endpointslices": "EndpointSlice",
    },
    "resource.k8s.io/v1": {
        "deviceclasses": "DeviceClass",
        "resourceclaims": "ResourceClaim",
        "resourceclaimtemplates": "ResourceClaimTemplate",
        "resourceslices": "ResourceSlice",
    },
    "flowcontrol.apiserver.k8s.io/v1": {
        "flowschemas": "FlowSchema",
        "prioritylevelconfigurations": "PriorityLevelConfiguration",
    },
}

_ROOT_SCOPED = frozenset(
    {
        "componentstatuses",
        "namespaces",
        "nodes",
        "persistentvolumes",
        "apiservices",
        "selfsubjectreviews",
        "tokenreviews",
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
        "certificatesigningrequests",
        "ingressclasses",
        "ipaddresses",
        "servicecidrs",
        "clusterrolebindings",
        "clusterroles",
        "csidrivers",
        "csinodes",
        "storageclasses",
        "volumeattachments",
        "volumeattributesclasses",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
        "customresourcedefinitions",
        "priorityclasses",
        "runtimeclasses",
        "deviceclasses",
        "resourceslices",
        "flowschemas",
        "prioritylevelconfigurations",
    }
)


def standard_resources() -> ResourceTable:
    """Make the table of the standard kinds."""
    return ResourceTable(
        RESTMapping(
            resource=GroupVersionResource(group_version.group, group_version.version, plural),
            kind=kind,
            singular=kind.lower(),
            namespaced=plural not in _ROOT_SCOPED,
        )
        for group_version, kinds in ((GroupVersion.parse(text), kinds) for text, kinds in _KINDS.items())
        for plural, kind in kinds.items()
    )
