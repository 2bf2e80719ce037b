"""The options of the proxy: where the other server is, how it is verified, and who we are to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates, validates_schema
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from metrics_apiserver.provider import DurationField, Options

__all__ = ["CUSTOM", "EXTERNAL", "ProxyOptions"]

CUSTOM, EXTERNAL = "custom", "external"
_PATH = validate.Length(min=1)
_NO_URL = "Not the address of a server: write it as https://service.namespace.svc:443."


class ProxyOptions(Options):
    """Checked before the server starts; the files are read when they are needed."""

    url = fields.String(
        required=True, metadata={"help": "The other server: `https://service.namespace.svc:port`, without a path."}
    )
    ca_file = fields.String(
        data_key="caFile",
        load_default=None,
        validate=_PATH,
        metadata={
            "help": "The CAs (PEM) that sign its certificate; followed. Without it those of the system count, which is"
            " hardly ever right for a Service."
        },
    )
    server_name = fields.String(
        data_key="serverName",
        load_default=None,
        validate=_PATH,
        metadata={"help": "The name that its certificate has to have; by default the one in `url`."},
    )
    token_file = fields.String(
        data_key="tokenFile",
        load_default=None,
        metadata={
            "help": "The token to show, read for every request. By default the pod's own, if it has one and no client"
            ' certificate is given; "" shows none.'
        },
    )
    client_cert_file = fields.String(
        data_key="clientCertFile",
        load_default=None,
        validate=_PATH,
        metadata={"help": "The client certificate to show (PEM); followed."},
    )
    client_key_file = fields.String(
        data_key="clientKeyFile",
        load_default=None,
        validate=_PATH,
        metadata={"help": "The private key of `clientCertFile` (PEM, not encrypted)."},
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
    connect_timeout = DurationField(
        data_key="connectTimeout",
        load_default=1.0,
        least=0.05,
        metadata={
            "help": "How long connecting may take, and TLS after it; a read's deadline counts if it is earlier.",
            "default": "1s",
        },
    )

    @validates("url")
    def _check_url(self, value: str, **_: Any) -> None:
        try:
            url = parse_url(value)
        except LocationParseError as error:
            raise ValidationError(_NO_URL) from error
        expected = Url("https", host=url.host, port=url.port)
        if not url.host or not value.startswith("https://") or str(url) not in (str(expected), f"{expected}/"):
            raise ValidationError(_NO_URL)

    @validates_schema
    def _check_certificate(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["client_cert_file"] is None) != (data["client_key_file"] is None):
            raise ValidationError("clientCertFile and clientKeyFile belong together")
        if data["forward_user"] and data["client_cert_file"] is None:
            raise ValidationError("forwardUser needs clientCertFile: nobody takes a user's name from a stranger")
        if data["forward_user"] and data["token_file"]:
            raise ValidationError("forwardUser names the user who asks, and tokenFile another one")
