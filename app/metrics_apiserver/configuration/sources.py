"""Where values come from: the environment, to which flags belong, and the file; best first."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marshmallow import ValidationError

from metrics_apiserver.configuration.document import Document
from metrics_apiserver.settings import ENVIRONMENT_PREFIX, Origin, Place, Problem, ProviderSettings, settings_table
from metrics_apiserver.settings.problems import flatten_messages, located_messages, meant, printable, written_place
from metrics_apiserver.settings.schema import InstanceSchema
from metrics_apiserver.settings.sections import rows_of

__all__ = ["Source"]

_Section = TypeVar("_Section")


@dataclass(slots=True)
class Source:
    """The three places a value can come from, best first; `problems` grows with what is read of them."""

    environ: Mapping[str, str] = field(default_factory=dict)
    document: Document = field(default_factory=Document)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def open(cls, environ: Mapping[str, str], content: bytes | None = None) -> Source:
        """Read the file, if one is named, or take this for what it holds; what is wrong with it comes first."""
        path = environ.get(ENVIRONMENT_PREFIX + "CONFIG", "")
        document = Document()
        if path:
            document = Document.read(path) if content is None else Document.parse(path, content)
        return cls(dict(environ), document, list(document.problems))

    @property
    def origin(self) -> Origin:
        """Where the settings come from, without what was made of it."""
        return Origin(self.environ, self.document.path, self.document.content)

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
                written = f"{setting.flag} ({setting.variable})" if setting.variable in self.environ else setting.key
                self._refuse(
                    Problem(f"{written}={_cut(raw)}: {message}", (setting.key,))
                    for message in flatten_messages(error.messages)
                )
        return kind(**values)

    def _refuse(self, problems: Iterable[Problem]) -> None:
        self.problems += self.located(problems)

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
            line = self.document.line(("providers",))
            expected = "providers: a list of instances is expected"
            self.problems.append(Problem(expected, ("providers",), self.document.path, line))
            # Not that none is configured: that one thing is wrong was said.
            return (ProviderSettings("", ""),)
        return tuple(self._provider(number, entry) for number, entry in enumerate(entries))

    def _provider(self, number: int, entry: Any) -> ProviderSettings:
        try:
            loaded: ProviderSettings = _INSTANCE.load(entry)
        except ValidationError as error:
            places = [(("providers", number, *place), text) for place, text in located_messages(error.messages)]
            self._refuse(Problem(f"{written_place(place)}: {text}", place) for place, text in places)
            return _remains(error)
        return loaded

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Give each problem the line of the file, where it is the file that says what is wrong."""
        return [
            dataclasses.replace(problem, file=self.document.path, line=self.document.line(problem.place))
            if problem.place and not problem.file and self._in_file(problem.place)
            else problem
            for problem in problems
        ]

    def _in_file(self, place: Place) -> bool:
        """Return whether the file says what is used here, and not a flag or a variable in its stead."""
        key, values = place[0], self.document.values
        if key != "providers":
            given = {row.key for row in settings_table() if row.variable in self.environ}
            return key in values and key not in given
        entries = values.get("providers")
        if self._named_providers is not None or not isinstance(entries, list):
            return False
        # Those of --metrics come after the file's.
        return len(place) == 1 or (isinstance(place[1], int) and place[1] < len(entries))

    def refuse_unknown(self) -> None:
        """A misspelt name must not be taken for the default."""
        rows = settings_table()
        known = {setting.variable for setting in rows} | {ENVIRONMENT_PREFIX + name for name in ("CONFIG", "PROVIDER")}
        keys = {setting.key for setting in rows} | {"providers"}
        for variable in sorted(self.environ):
            if not variable.startswith(ENVIRONMENT_PREFIX) or _is_service_link(variable, self.environ):
                continue
            if variable not in known | _OTHER_VARIABLES:
                self.problems.append(Problem(f"{variable}: there is no such setting{meant(variable, known)}"))
        self._refuse(
            Problem(f"{key}: there is no such setting{meant(key, keys)}", (key,))
            for key in self.document.values
            if key not in keys
        )


# Variables with our prefix that are no settings of the server: the cache folder of the project's own tools.
_OTHER_VARIABLES = {ENVIRONMENT_PREFIX + "CACHE"}
# What a kubelet puts into a pod's environment for a Service whose name is ours, or begins with it:
# `…_SERVICE_HOST`, `…_WEB_SERVICE_PORT_HTTPS`, `…_WEB_PORT_443_TCP_ADDR`.
_SERVICE_LINK = re.compile(
    r"SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?"
)


def _is_service_link(variable: str, environ: Mapping[str, str]) -> bool:
    """Return whether it is one of a Service: ours, or one that has an address, which a misspelt setting has not."""
    return any(
        _SERVICE_LINK.fullmatch(variable, len(prefix))
        and (prefix == ENVIRONMENT_PREFIX or f"{prefix}SERVICE_HOST" in environ)
        for prefix in _prefixes(variable)
    )


def _prefixes(variable: str) -> Iterator[str]:
    """Return what may be the name of a Service: up to each underscore, our own prefix first."""
    end = len(ENVIRONMENT_PREFIX)
    while end > 0:
        yield variable[:end]
        end = variable.find("_", end) + 1


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
        if isinstance(text, str) and not _is_usable(text):
            raise ValidationError("Must not hold a NUL character, nor half of a surrogate pair.")


def _is_usable(text: str) -> bool:
    """Return whether a text can be the name of a file: a NUL cannot, nor can what has no encoding."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _remains(error: ValidationError) -> ProviderSettings:
    """Return what stands in the place of an entry that was refused, so that the rest of it is checked all the same.

    registry.check passes over one without a kind: it cannot judge options that are none.
    """
    valid = error.valid_data if isinstance(error.valid_data, dict) else {}
    kind = "" if "options" in error.messages else valid.get("kind", "")
    return ProviderSettings(valid.get("name", ""), kind, valid.get("options", {}))
