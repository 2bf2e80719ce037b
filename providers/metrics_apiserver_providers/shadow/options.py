"""The options of a shadow: the two providers, and how closely they have to agree."""

from __future__ import annotations

from marshmallow import fields, validate

from metrics_apiserver.provider import ChildOptions, DurationField, Options

__all__ = ["ShadowOptions"]


class ShadowOptions(Options):
    """Checked before the server starts, the options of both providers with them."""

    first = fields.Nested(
        ChildOptions, required=True, metadata={"help": "The provider that serves: `kind`, `options`."}
    )
    second = fields.Nested(
        ChildOptions, required=True, metadata={"help": "The provider that is only compared with it: `kind`, `options`."}
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
