"""Where values come from: the environment, to which flags belong, and the file; best first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from marshmallow import Schema, ValidationError, fields, validate

from app.settings.providers import ProviderSettings
from app.settings.sections import ENVIRONMENT_PREFIX, Setting, rows_of, settings_table

__all__ = ["Source", "flatten_messages"]

_Section = TypeVar("_Section")


class _ProviderSchema(Schema):
    name = fields.String(required=True, validate=validate.Length(min=1))
    kind = fields.String(required=True, validate=validate.Length(min=1))
    options = fields.Dict(keys=fields.String(), load_default=dict)


@dataclass(slots=True)
class Source:
    """The three places a value can come from, best first."""

    environ: Mapping[str, str]
    path: str
    file: Mapping[str, Any]
    problems: list[str]

    @classmethod
    def open(cls, environ: Mapping[str, str]) -> Source:
        """Read the file, if one is named; what is wrong with it is the first problem."""
        problems: list[str] = []
        path = environ.get(ENVIRONMENT_PREFIX + "CONFIG", "")
        return cls(environ, path, _read_config(path, problems) if path else {}, problems)

    def section(self, kind: type[_Section]) -> _Section:
        """Read the settings of one section, with the default in the place of what is wrong."""
        values = {}
        for setting in rows_of(kind):
            raw, where = self._raw(setting)
            if raw is None:
                continue
            try:
                values[setting.name] = setting.schema_field.deserialize(raw)
            except ValidationError as error:
                self.problems += [f"{where}={raw}: {message}" for message in flatten_messages(error.messages)]
        return kind(**values)

    def _raw(self, setting: Setting) -> tuple[Any, str]:
        if setting.variable in self.environ:
            return self.environ[setting.variable], f"{setting.flag} ({setting.variable})"
        return self.file.get(setting.key), f"{setting.key} in {self.path}"

    def providers(self) -> tuple[ProviderSettings, ...] | None:
        """The provider instances; None where nobody named any."""
        names = self.environ.get(ENVIRONMENT_PREFIX + "PROVIDER")
        if names is not None:
            listed = [name.strip() for name in names.split(",") if name.strip()]
            return tuple(ProviderSettings(name=name, kind=name) for name in listed)
        if "providers" not in self.file:
            return None
        try:
            loaded = _ProviderSchema(many=True).load(self.file["providers"])
        except ValidationError as error:
            self.problems += [f"providers in {self.path}: {message}" for message in flatten_messages(error.messages)]
            # Known to be wrong already: not to be reported as missing as well.
            return (ProviderSettings(name="", kind=""),)
        return tuple(ProviderSettings(**provider) for provider in loaded)

    def refuse_unknown(self) -> None:
        """A misspelt name must not be taken for the default."""
        rows = settings_table()
        known = {setting.variable for setting in rows} | {ENVIRONMENT_PREFIX + name for name in ("CONFIG", "PROVIDER")}
        keys = {setting.key for setting in rows} | {"providers"}
        for variable in sorted(self.environ):
            if not variable.startswith(ENVIRONMENT_PREFIX) or _SERVICE_LINK.fullmatch(variable):
                continue
            if variable not in known | _OTHER_VARIABLES:
                self.problems.append(f"{variable}: there is no such setting")
        self.problems += [f"{key} in {self.path}: there is no such setting" for key in sorted(set(self.file) - keys)]


# Variables with our prefix that are no settings of the server: the cache folder of the project's own tools.
_OTHER_VARIABLES = {ENVIRONMENT_PREFIX + "CACHE"}
# What a kubelet puts into a pod's environment for a Service with our name: `…_SERVICE_HOST`, `…_PORT_443_TCP_ADDR`.
_SERVICE_LINK = re.compile(
    ENVIRONMENT_PREFIX + r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


def _read_config(file: str, problems: list[str]) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"--config={file}: {error.strerror}")
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"--config={file}: not YAML: {' '.join(str(error).split())}")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        problems.append(f"--config={file}: a mapping of settings is expected")
        return {}
    return document


def flatten_messages(messages: Any, path: str = "") -> list[str]:
    """Turn marshmallow's nested messages into sentences that name the place."""
    if isinstance(messages, Mapping):
        join: Callable[[Any], str] = lambda key: f"{path}.{key}" if path else str(key)  # noqa: E731 - one use, here
        return [line for key, inner in messages.items() for line in flatten_messages(inner, join(key))]
    if isinstance(messages, (list, tuple)):
        return [line for inner in messages for line in flatten_messages(inner, path)]
    place = path.removesuffix("._schema").removesuffix("_schema")
    return [f"{place}: {messages}" if place else str(messages)]
