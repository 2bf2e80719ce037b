"""Where values come from: the environment, to which flags belong, and the file; best first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marshmallow import ValidationError

from metrics_apiserver.settings.checks import is_usable, printable
from metrics_apiserver.settings.document import Document, Place, written_place
from metrics_apiserver.settings.providers import ProviderSettings
from metrics_apiserver.settings.schema import InstanceSchema
from metrics_apiserver.settings.sections import ENVIRONMENT_PREFIX, Setting, rows_of, settings_table

__all__ = ["Source", "flatten_messages", "located_messages"]

_Section = TypeVar("_Section")

# A flag with which a sentence begins: what is wrong is that setting.
_FLAG = re.compile(r"(--[a-z-]+|-v)\b")


@dataclass(slots=True)
class Source:
    """The three places a value can come from, best first; `problems` grows with what is read of them."""

    environ: Mapping[str, str] = field(default_factory=dict)
    document: Document = field(default_factory=Document)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, environ: Mapping[str, str], content: bytes | None = None) -> Source:
        """Read the file, if one is named, or take this for what it holds; what is wrong with it comes first."""
        path = environ.get(ENVIRONMENT_PREFIX + "CONFIG", "")
        document = Document()
        if path:
            document = Document.read(path) if content is None else Document.parse(path, content)
        return cls(dict(environ), document, list(document.problems))

    def section(self, kind: type[_Section]) -> _Section:
        """Read the settings of one section, with the default in the place of what is wrong."""
        values = {}
        for setting in rows_of(kind):
            raw = self.environ.get(setting.variable, self.document.values.get(setting.key))
            if raw is None:
                continue
            try:
                value = setting.schema_field.deserialize(raw)
                _refuse_unusable(value)
                values[setting.name] = value
            except ValidationError as error:
                begin = f"{self._where(setting)}={_cut(raw)}"
                self.problems += [f"{begin}: {message}" for message in flatten_messages(error.messages)]
        return kind(**values)

    def _where(self, setting: Setting) -> str:
        if setting.variable in self.environ:
            return f"{setting.flag} ({setting.variable})"
        return f"{self.document.at((setting.key,))}: {setting.key}"

    @property
    def _named_providers(self) -> str | None:
        return self.environ.get(ENVIRONMENT_PREFIX + "PROVIDER")

    def providers(self) -> tuple[ProviderSettings, ...] | None:
        """The provider instances; None where nobody named any."""
        if self._named_providers is not None:
            listed = [name.strip() for name in self._named_providers.split(",") if name.strip()]
            return tuple(ProviderSettings(name=name, kind=name) for name in listed)
        if "providers" not in self.document.values:
            return None
        entries = self.document.values["providers"]
        if not isinstance(entries, list):
            self.problems.append(f"{self.document.at(('providers',))}: providers: a list of instances is expected")
            # Not that none is configured: that one thing is wrong was said.
            return (ProviderSettings("", ""),)
        return tuple(self._provider(number, entry) for number, entry in enumerate(entries))

    def _provider(self, number: int, entry: Any) -> ProviderSettings:
        try:
            loaded: ProviderSettings = _INSTANCE.load(entry)
        except ValidationError as error:
            self.problems += [
                f"{self.provider_line(number, place)}{written_place(('providers', number, *place))}: {sentence}"
                for place, sentence in located_messages(error.messages)
            ]
            return _remains(error)
        return loaded

    def provider_line(self, number: int, place: Place) -> str:
        """Return the beginning of a sentence on an instance: its line, where it is the file that names it."""
        entries = self.document.values.get("providers")
        if self._named_providers is not None or not isinstance(entries, list) or number >= len(entries):
            return ""
        return f"{self.document.at(('providers', number, *place))}: "

    def placed(self, problem: str) -> str:
        """Put the line before a sentence that begins with a flag, where it is the file that gives the setting."""
        flag = _FLAG.match(problem)
        for setting in settings_table() if flag else ():
            given = setting.key in self.document.values and setting.variable not in self.environ
            if given and flag is not None and setting.flag == flag[1]:
                return f"{self.document.at((setting.key,))}: {problem}"
        return problem

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
        self.problems += [
            f"{self.document.at((key,))}: {key}: there is no such setting"
            for key in self.document.values
            if key not in keys
        ]


# Variables with our prefix that are no settings of the server: the cache folder of the project's own tools.
_OTHER_VARIABLES = {ENVIRONMENT_PREFIX + "CACHE"}
# What a kubelet puts into a pod's environment for a Service with our name: `…_SERVICE_HOST`, `…_PORT_443_TCP_ADDR`.
_SERVICE_LINK = re.compile(
    ENVIRONMENT_PREFIX + r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


_INSTANCE = InstanceSchema()
# What is quoted of a wrong setting.
_QUOTED_CHARACTERS = 200


def _cut(raw: Any) -> str:
    try:
        text = printable(str(raw))
    except ValueError:
        # An integer of more digits than Python writes.
        return "…"
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…"


def _refuse_unusable(value: Any) -> None:
    """Refuse a text that no path or address can be, for which the system's calls raise. Raises ValidationError."""
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and not is_usable(text):
            raise ValidationError("Must not hold a NUL character, nor half of a surrogate pair.")


def _remains(error: ValidationError) -> ProviderSettings:
    """Return what stands in the place of an entry that was refused, so that the rest of it is checked all the same.

    registry.check passes over one without a kind: it cannot judge options that are none.
    """
    valid = error.valid_data if isinstance(error.valid_data, dict) else {}
    kind = "" if "options" in error.messages else valid.get("kind", "")
    return ProviderSettings(valid.get("name", ""), kind, valid.get("options", {}))


def located_messages(messages: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Return each sentence of marshmallow's nested messages with its place."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from located_messages(inner, place if key == "_schema" else (*place, key))
    elif isinstance(messages, (list, tuple)):
        for inner in messages:
            yield from located_messages(inner, place)
    else:
        yield place, str(messages)


def flatten_messages(messages: Any) -> list[str]:
    """Turn marshmallow's nested messages into sentences that name the place."""
    return [
        f"{written_place(place)}: {sentence}" if place else sentence for place, sentence in located_messages(messages)
    ]
