"""The schema of `providers:` in the file: what an instance's keys are called, and what they may be."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from metrics_apiserver.model.labels import validate_label_key
from metrics_apiserver.settings.durations import Duration, DurationField
from metrics_apiserver.settings.lists import ListField
from metrics_apiserver.settings.problems import suggest_keys
from metrics_apiserver.settings.providers import (
    BreakerSettings,
    MatchSettings,
    MetricPolicySettings,
    PolicySettings,
    ProviderSettings,
    Substitute,
    SubstituteSettings,
)
from metrics_apiserver.settings.quantities import QuantityField

__all__ = ["EntriesField", "InstanceSchema"]

_POLICY, _BREAKER = PolicySettings(), BreakerSettings()
_SHORTEST = 0.001
_GLOBS = validate.Length(min=1, error="Must not be empty: leave it out instead.")
# The letters of a label's value, and what a glob is made of.
_LABEL_GLOB = re.compile(r"[-A-Za-z0-9_.*?!\[\]]*")


def _told(text: str, default: object = "") -> dict[str, Any]:
    """Return a field's metadata: what the page of the configuration says of it."""
    return {"help": text, "default": str(default)}


class _Keys(Schema):
    """What all have in common: how they say that something is not a mapping, or a key unknown."""

    error_messages = {"type": "Must be a mapping.", "unknown": "There is no such key."}  # noqa: RUF012 - marshmallow's

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **_: Any) -> None:
        """Say of a misspelt key which one is probably meant."""
        known = [field.data_key or name for name, field in self.fields.items()]
        suggest_keys(error.messages, known, self.error_messages["unknown"])


class EntriesField(fields.Field[tuple[Any, ...]]):
    """A list of mappings, or a single one, which is a list of one."""

    def __init__(self, schema: Schema, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.schema = schema

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> tuple[Any, ...]:
        if isinstance(value, list):
            return tuple(self.schema.load(value, many=True))
        return (self.schema.load(value),)


class SubstituteField(fields.Field[SubstituteSettings]):
    """A word, or `value: 3` and `last: 5m`, each as a mapping or as text."""

    _VALUE, _LAST = QuantityField(), DurationField(least=_SHORTEST)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any
    ) -> SubstituteSettings:
        word: Any = None
        argument: Any = None
        match value:
            case "empty" | "error" | "zero":
                return SubstituteSettings(Substitute(value))
            case str():
                word, _colon, argument = (part.strip() for part in value.partition(":"))
            case dict() if len(value) == 1:
                ((word, argument),) = value.items()
        if word == "value":
            return SubstituteSettings(Substitute.VALUE, value=self._VALUE.deserialize(argument))
        if word == "last":
            return SubstituteSettings(Substitute.LAST, seconds=self._LAST.deserialize(argument))
        raise ValidationError("Must be empty, error, zero, value: QUANTITY or last: DURATION.")


class _MatchSchema(_Keys):
    api = fields.String(
        validate=validate.OneOf(["custom", "external"]), metadata=_told("Which API: `custom` or `external`.")
    )
    namespaces = ListField(validate=_GLOBS, metadata=_told("Globs for the namespace; at the root it is empty."))
    resources = ListField(
        validate=_GLOBS,
        metadata=_told(
            "Globs for the object's resource, the plural with its group: `pods`, `*.apps`. No external read fits."
        ),
    )
    metrics = ListField(validate=_GLOBS, metadata=_told("Globs for the metric's name."))
    label = fields.String(
        metadata=_told(
            "`KEY` or `KEY=GLOB`: a label that the read has to require of the series, by `metricLabelSelector`,"
            " or by an external read's `labelSelector`."
        )
    )

    # Also beside a problem of another key: all are told at once.
    @validates_schema(skip_on_field_errors=False)
    def _can_fit(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("api") == "external" and "resources" in data:
            raise ValidationError("An external metric belongs to no resource.", "resources")
        if "label" not in data:
            return
        key, _equals, value = data["label"].partition("=")
        if errors := validate_label_key(key):
            raise ValidationError(f"Not a label's key: {'; '.join(errors)}.", "label")
        if not _LABEL_GLOB.fullmatch(value):
            raise ValidationError("Not a glob of a label's value: write it as KEY or KEY=GLOB.", "label")

    @post_load
    def _make(self, data: Mapping[str, Any], **_: Any) -> MatchSettings:
        return MatchSettings(**data)


class _PolicySchema(_Keys):
    timeout = DurationField(
        least=_SHORTEST, metadata=_told("How long an answer is waited for.", Duration(_POLICY.timeout))
    )
    cache = DurationField(metadata=_told("How long an answer is used again.", Duration(_POLICY.cache)))
    max_age = DurationField(
        least=_SHORTEST,
        allow_none=True,
        data_key="maxAge",
        metadata=_told("Older samples are not served; `null`: of any age.", "null"),
    )
    on_empty = SubstituteField(
        data_key="onEmpty",
        metadata=_told(
            "What is answered where nothing is there: `empty` (as it was given), `error`, `zero`, `value: QUANTITY`,"
            " or `last: DURATION`, the last answer if it is no older.",
            _POLICY.on_empty.kind.value,
        ),
    )
    on_error = SubstituteField(
        data_key="onError",
        metadata=_told("The same, where the provider failed.", _POLICY.on_error.kind.value),
    )


class _MetricPolicySchema(_PolicySchema):
    class Meta:
        # The names first: it is what tells one entry from another.
        fields = ("match", "timeout", "cache", "max_age", "on_empty", "on_error")

    match = ListField(required=True, validate=_GLOBS, metadata=_told("Globs for the metric's name."))


class _BreakerSchema(_Keys):
    failures = fields.Integer(
        strict=True,
        validate=validate.Range(1, 10_000),
        metadata=_told("So many failures of a metric in a row, and it is asked for no more.", _BREAKER.failures),
    )
    reset = DurationField(
        least=_SHORTEST, metadata=_told("After this long one read tries again.", Duration(_BREAKER.reset))
    )

    @post_load
    def _make(self, data: Mapping[str, Any], **_: Any) -> BreakerSettings:
        return BreakerSettings(**data)


class InstanceSchema(_PolicySchema):
    """One entry of `providers:`; gives ProviderSettings."""

    class Meta:
        # In the order in which one writes them.
        fields = (
            "name",
            "kind",
            "options",
            "match",
            "on_not_found",
            "timeout",
            "cache",
            "max_age",
            "on_empty",
            "on_error",
            "concurrency",
            "breaker",
            "metrics",
        )

    name = fields.String(
        required=True, validate=validate.Length(min=1), metadata=_told("Its own name, in logs and metrics.")
    )
    kind = fields.String(
        required=True,
        validate=validate.Length(min=1),
        metadata=_told("Which provider: a name that `metrics-apiserver providers` lists."),
    )
    options = fields.Dict(keys=fields.String(), metadata=_told("The provider's own options."))
    match = EntriesField(
        _MatchSchema(),
        metadata=_told("Which reads it is asked for: a list of rules, or one; each says all that has to fit."),
    )
    on_not_found = fields.String(
        validate=validate.OneOf(["next", "stop"]),
        data_key="onNotFound",
        metadata=_told("Whether the next one is asked where it has nothing: `next` or `stop`.", "next"),
    )
    concurrency = fields.Integer(
        strict=True,
        validate=validate.Range(1, 1000),
        metadata=_told("How many calls may be under way at once.", ProviderSettings("", "").concurrency),
    )
    breaker = fields.Nested(_BreakerSchema(), metadata=_told("When a provider that fails is left alone."))
    metrics = EntriesField(
        _MetricPolicySchema(),
        metadata=_told(
            "Other policies for some metrics: each entry has `match` and what differs of `timeout`, `cache`, `maxAge`,"
            " `onEmpty` and `onError`. The first that fits counts."
        ),
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> ProviderSettings:
        names = [each.name for each in dataclasses.fields(PolicySettings)]
        policy = PolicySettings(**{name: data.pop(name) for name in names if name in data})
        metrics = tuple(
            MetricPolicySettings(each.pop("match"), dataclasses.replace(policy, **each))
            for each in data.pop("metrics", ())
        )
        goes_on = data.pop("on_not_found", "next") == "next"
        return ProviderSettings(**data, policy=policy, metrics=metrics, next_on_not_found=goes_on)
