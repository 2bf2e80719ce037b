"""The options of a shadow: the two providers, and how closely they have to agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from metrics_apiserver.provider import CustomMetricsProvider, DurationField, ExternalMetricsProvider, Options, Provider

__all__ = ["Part", "ShadowOptions"]

# The same group that the server reads: what can be configured by itself can be a part.
_ENTRY_POINT_GROUP = "metrics_apiserver.providers"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two: its class, and its own options, loaded."""

    provider_class: type[Provider]
    options: Mapping[str, Any]


class _PartSchema(Schema):
    kind = fields.String(required=True, metadata={"help": "A kind of provider, as in `providers`."})
    options = fields.Dict(keys=fields.String(), load_default=dict, metadata={"help": "Its options."})

    @post_load
    def _find(self, data: Mapping[str, Any], **_: Any) -> Part:
        provider_class = _find_class(data["kind"])
        try:
            return Part(provider_class, provider_class.Options().load(data["options"]))
        except ValidationError as error:
            raise ValidationError({"options": error.messages}) from error


class ShadowOptions(Options):
    """Checked before the server starts, the options of both providers with them."""

    first = fields.Nested(_PartSchema, required=True, metadata={"help": "The provider that serves: `kind`, `options`."})
    second = fields.Nested(
        _PartSchema, required=True, metadata={"help": "The provider that is only compared with it: `kind`, `options`."}
    )
    tolerance = fields.Float(
        load_default=0.0,
        validate=validate.Range(min=0),
        metadata={"help": "By how many percent of the first value the second may differ.", "default": "0"},
    )
    timeout = DurationField(
        load_default=5.0,
        least=0.05,
        metadata={"help": "How long the second may take; the first has the read's own time.", "default": "5s"},
    )
    concurrency = fields.Integer(
        load_default=4,
        validate=validate.Range(min=1, max=64),
        metadata={"help": "How many reads of the second may be under way; what is too much is counted as skipped."},
    )
    log_interval = DurationField(
        data_key="logInterval",
        load_default=60.0,
        least=1,
        metadata={"help": "How often one metric's difference is logged at most.", "default": "1m"},
    )


def _find_class(kind: str) -> type[Provider]:
    found = [entry for entry in entry_points(group=_ENTRY_POINT_GROUP) if entry.name == kind]
    if len(found) != 1:
        problem = f"there is no provider of the kind {kind}" if not found else f"the kind {kind} is installed twice"
        raise ValidationError(problem, "kind")
    try:
        provider_class = found[0].load()
    except Exception as error:
        raise ValidationError(f"the kind {kind} cannot be imported: {error}", "kind") from error
    if not (
        isinstance(provider_class, type)
        and issubclass(provider_class, (CustomMetricsProvider, ExternalMetricsProvider))
    ):
        raise ValidationError(f"the kind {kind} is no provider", "kind")
    return provider_class
