"""The options of the proxy: where the other server is, how it is verified, and who we are to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from metrics_apiserver.provider import DurationField
from metrics_apiserver.provider.http import ServerOptions

__all__ = ["CUSTOM", "EXTERNAL", "ProxyOptions"]

CUSTOM, EXTERNAL = "custom", "external"


class ProxyOptions(ServerOptions):
    """Those of any other server, and how this one is asked."""

    class Meta:
        # API servers know neither.
        exclude = ("username", "password_file", "headers")

    url = fields.String(
        required=True, metadata={"help": "The other server: `https://service.namespace.svc:port`, without a path."}
    )
    token_file = fields.String(
        data_key="tokenFile",
        load_default=None,
        metadata={
            "help": "The token to show, read for every request. By default the pod's own, if it has one and no client"
            ' certificate is given; "" shows none.'
        },
    )

    forward_user = fields.Boolean(
        data_key="forwardUser",
        load_default=False,
        metadata={
            "help": "Whether to name the user who asks, as a front proxy does; the other server has to take"
            " `clientCertFile` for one. Otherwise it sees this server's own account.",
            "default": "false",
        },
    )
    apis = fields.List(
        fields.String(validate=validate.OneOf([CUSTOM, EXTERNAL])),
        load_default=(CUSTOM, EXTERNAL),
        validate=validate.Length(min=1),
        metadata={"help": "Which APIs it is asked for.", "default": "custom, external"},
    )
    list_interval = DurationField(
        data_key="listInterval",
        load_default=30.0,
        least=1,
        metadata={"help": "How often its listing is read.", "default": "30s"},
    )

    @validates_schema
    def _check_user(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["forward_user"] and data["client_cert_file"] is None:
            raise ValidationError("forwardUser needs clientCertFile: nobody takes a user's name from a stranger")
        if data["forward_user"] and data["token_file"]:
            raise ValidationError("forwardUser names the user who asks, and tokenFile another one")
