"""The options of a provider that asks another server: where it is, how it is verified, and who we are to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate, validates, validates_schema
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from metrics_apiserver.provider.fields import DurationField
from metrics_apiserver.provider.interfaces import Options

__all__ = ["ServerOptions"]

_PATH = validate.Length(min=1)
# RFC 9110 5.6.2.
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
# What frames a request, and what other options say.
_NOT_TO_BE_SET = frozenset(
    ("authorization", "connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade")
)


def _check_name(name: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise ValidationError("Not the name of a header field.")
    if name.lower() in _NOT_TO_BE_SET:
        raise ValidationError("This field cannot be set.")


class ServerOptions(Options):
    """Checked before the server starts; the files are read when they are needed. Derive from it, and add your own.

    `url_schemes` and `url_has_path` say which addresses are taken; `url_example` is shown with one that is not.
    """

    url_schemes: ClassVar[tuple[str, ...]] = ("https",)
    url_has_path: ClassVar[bool] = False
    url_example: ClassVar[str] = "https://service.namespace.svc:443"

    url = fields.String(required=True, metadata={"help": "The other server: `https://service.namespace.svc:port`."})
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
        metadata={"help": "The bearer token to show, read for every request."},
    )
    username = fields.String(
        load_default=None,
        validate=validate.Regexp(r"[^:\x00-\x1f\x7f]+\Z", error="Must not be empty, nor have a colon."),
        metadata={"help": "The user to be, with the password of `passwordFile` (basic authentication)."},
    )
    password_file = fields.String(
        data_key="passwordFile",
        load_default=None,
        validate=_PATH,
        metadata={"help": "The password of `username`, read for every request."},
    )
    headers = fields.Dict(
        keys=fields.String(validate=_check_name),
        values=fields.String(validate=validate.Regexp(r"[\x20-\x7e]*\Z", error="Must be printable ASCII.")),
        load_default=dict,
        metadata={"help": "Further header fields of every request, such as a tenant's; no secrets."},
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
        problem = f"Not the address of a server: write it as {self.url_example}."
        try:
            url = parse_url(value)
        except LocationParseError as error:
            raise ValidationError(problem) from error
        path, query = (url.path, url.query) if self.url_has_path else (None, None)
        expected = Url(url.scheme, host=url.host, port=url.port, path=path, query=query)
        if not url.host or not value.startswith(tuple(f"{scheme}://" for scheme in self.url_schemes)):
            raise ValidationError(problem)
        if str(url) not in (str(expected), f"{expected}/"):
            raise ValidationError(problem)

    @validates_schema
    def _check_credentials(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["client_cert_file"] is None) != (data["client_key_file"] is None):
            raise ValidationError("clientCertFile and clientKeyFile belong together")
        if (data.get("username") is None) != (data.get("password_file") is None):
            raise ValidationError("username and passwordFile belong together")
        if data["token_file"] and data.get("username") is not None:
            raise ValidationError("tokenFile and username are two ways to say who asks: give one")

    @validates_schema
    def _check_plain(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse over plain HTTP what would have no effect, and what others would read on the way."""
        if not data["url"].startswith("http://"):
            return
        for key, name in (("ca_file", "caFile"), ("server_name", "serverName"), ("client_cert_file", "clientCertFile")):
            if data[key] is not None:
                raise ValidationError("There is no TLS with http://, and this has no effect: use https://.", name)
        for key, name in (("token_file", "tokenFile"), ("password_file", "passwordFile")):
            if data.get(key):
                raise ValidationError("Everybody on the way could read it with http://: use https://.", name)
