"""Writes docs/configuration.md from the settings and the shipped providers' schemas: `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marshmallow import Schema, fields, missing

from metrics_apiserver.provider import Provider, kinds
from metrics_apiserver.settings import settings_table
from metrics_apiserver.settings.durations import Duration, DurationField
from metrics_apiserver.settings.schema import EntriesField, InstanceSchema

__all__ = ["PAGE", "render"]

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
DISTRIBUTION = "metrics-apiserver"
HEAD = """\
# Configuration

This page is made of the code's own tables (`make docs`), and a test compares it with them. [running.md](running.md)
explains how settings are given and what the two modes are.

## Settings

"""
INSTANCES = """
`--provider NAME` (`METRICS_APISERVER_PROVIDER`, several with commas) names the providers, in the order in which they
are asked, with default options. `--config FILE` (`METRICS_APISERVER_CONFIG`) names the file.

## Providers in the file

`providers` is a list of instances, in the order in which they are asked. Every entry has these keys;
[running.md](running.md#providers) explains them. `metrics-apiserver validate FILE` says what is wrong, and on
which line.

"""
PROVIDERS = """
## Options of the shipped providers

Options of another provider are told by its author; a wrong one stops the start.
"""


def render() -> str:
    """Give the whole page."""
    return "".join([HEAD, *_settings(), INSTANCES, *_instances(), PROVIDERS, *_providers()])


def _settings() -> Iterator[str]:
    yield "| flag | variable | key in the file | default | |\n|---|---|---|---|---|\n"
    for row in settings_table():
        names = " | ".join(f"`{name}`" for name in (row.flag, row.variable, row.key))
        yield f"| {names} |{_code(row.default_text)}| {_cell(row.help)} |\n"


def _instances() -> Iterator[str]:
    yield "| key | default | |\n|---|---|---|\n"
    yield from _options(InstanceSchema())


def _providers() -> Iterator[str]:
    for entry in kinds.installed():
        if entry.dist is None or entry.dist.name != DISTRIBUTION:
            continue
        provider: type[Provider] = entry.load()
        yield f"\n### `{entry.name}`\n\n{(provider.__doc__ or '').splitlines()[0]}\n"
        rows = list(_options(provider.Options()))
        if not rows:
            yield "\nIt has no options.\n"
            continue
        yield "\n| option | default | |\n|---|---|---|\n"
        yield from rows


def _options(schema: Schema, prefix: str = "", *, above: Schema | None = None) -> Iterator[str]:
    """Give a row for each option; those of a mapping in it, or of a list's entries, follow it."""
    for name, field in schema.fields.items():
        if above is not None and name in above.fields and above.fields[name].metadata == field.metadata:
            continue  # told there
        path = f"{prefix}{field.data_key or name}"
        default = " required " if field.required else _code(_default(field))
        yield f"| `{path}` |{default}| {_cell(field.metadata['help'])} |\n"
        if isinstance(field, EntriesField):
            yield from _options(field.schema, f"{path}[].", above=schema)
        if isinstance(field, fields.Nested):
            yield from _options(field.schema, f"{path}.")
        if isinstance(field, fields.List) and isinstance(field.inner, fields.Nested):
            yield from _options(field.inner.schema, f"{path}[].")


def _default(field: fields.Field[Any]) -> Any:
    # Where the settings have it, and not the schema.
    value = field.metadata.get("default", field.load_default)
    if value is missing or callable(value):
        return None
    if isinstance(field, DurationField) and isinstance(value, float):
        return Duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else value


def _code(value: Any) -> str:
    return " " if value in ("", None) else f" `{value}` "


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
