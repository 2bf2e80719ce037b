"""What names resources and objects: GroupResource, GroupVersionKind, NamespacedName, ObjectReference, RESTMapping."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "GroupResource",
    "GroupVersion",
    "GroupVersionKind",
    "GroupVersionResource",
    "NamespacedName",
    "ObjectReference",
    "RESTMapping",
]


@dataclass(frozen=True, slots=True, order=True)
class GroupResource:
    """A resource of an API group, version left open (apimachinery `schema.GroupResource`); group "" is the core."""

    resource: str
    group: str = ""

    @classmethod
    def parse(cls, text: str) -> GroupResource:
        """Read `pods` or `deployments.apps`: what follows the first dot is the group."""
        resource, _, group = text.partition(".")
        return cls(resource, group)

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


@dataclass(frozen=True, slots=True, order=True)
class GroupVersion:
    """A version of an API group (`apps/v1`; the core's is `v1`)."""

    group: str
    version: str

    @classmethod
    def parse(cls, text: str) -> GroupVersion:
        """Read an `apiVersion`: `apps/v1`, or `v1` for the core group."""
        group, slash, version = text.rpartition("/")
        return cls(group if slash else "", version)

    def __str__(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True, order=True)
class GroupVersionKind:
    """The type of an object, as `apiVersion` and `kind` name it."""

    group: str
    version: str
    kind: str


@dataclass(frozen=True, slots=True, order=True)
class GroupVersionResource:
    """A resource as a path of the cluster's API names it."""

    group: str
    version: str
    resource: str


@dataclass(frozen=True, slots=True)
class RESTMapping:
    """What the cluster knows of one resource (apimachinery `meta.RESTMapping`)."""

    resource: GroupVersionResource
    kind: str
    singular: str
    namespaced: bool

    @property
    def group_resource(self) -> GroupResource:
        """The plural name with its group: the normal form of every name of this resource."""
        return GroupResource(self.resource.resource, self.resource.group)


@dataclass(frozen=True, slots=True, order=True)
class NamespacedName:
    """The name of an object; namespace "" for one that has none (apimachinery `types.NamespacedName`)."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that a metric describes (core `v1.ObjectReference`, its four fields that the API uses).

    `api_version` of a core kind is `/v1`, with the slash: clients have read that for years.
    """

    kind: str
    name: str
    api_version: str
    namespace: str = ""
