"""The settings as flags of a command line: for `metrics-apiserver`, and for programs of provider authors."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NoReturn

from metrics_apiserver.settings import ENVIRONMENT_PREFIX, Setting, settings_table
from metrics_apiserver.settings.problems import meant
from metrics_apiserver.settings.sections import settings_by_section

__all__ = ["Parser", "add_settings", "add_sources", "variables"]


def add_sources(parser: argparse._ActionsContainer) -> None:
    """Add the two flags that are no settings: `--config` and `--provider`."""
    parser.add_argument("--config", metavar="FILE", help="a YAML file with any of these settings, and providers")
    parser.add_argument(
        "--provider",
        metavar="NAME",
        action="append",
        help="serve this installed provider with default options; repeat it for several, asked in this order",
    )


def add_settings(parser: argparse._ActionsContainer) -> None:
    """Add a flag for each setting, in groups by section.

    Values are checked with all the others, so that every problem is told at once.
    """
    for title, rows in settings_by_section():
        group = parser.add_argument_group(title)
        for setting in rows:
            names = ["-v", "--v"] if setting.name == "v" else [setting.flag]
            default = f" (default: {setting.default_text})" if setting.default_text else ""
            group.add_argument(
                *names,
                dest=setting.name,
                metavar=setting.takes,
                # A percent sign is argparse's own.
                help=f"{setting.help}{default}".replace("%", "%%"),
                **_taking(setting),
            )


class Parser(argparse.ArgumentParser):
    """Says of a misspelt flag which one is probably meant."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave with 2."""
        _, begin, rest = message.partition("unrecognized arguments: ")
        if begin:
            known = [name for action in self._all_actions() for name in action.option_strings]
            guesses = (meant(word.partition("=")[0], known) for word in rest.split() if word.startswith("-"))
            message += next(filter(None, guesses), "")
        super().error(message)

    def _all_actions(self) -> list[argparse.Action]:
        """Return also those of the commands: an unknown flag of a command is found by the whole."""
        found = list(self._actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [each for command in action.choices.values() for each in command._actions]
        return found


def _taking(setting: Setting) -> dict[str, Any]:
    """Say what a flag takes, as Go's pflag has it: alone it means true, and a list grows with each."""
    if setting.switch:
        return {"nargs": "?", "const": "true"}
    return {"action": "append"} if setting.several else {}


def variables(parsed: Mapping[str, object]) -> dict[str, str]:
    """Return the flags that were given as environment variables."""
    names = ["config", "provider", *(setting.name for setting in settings_table())]
    given = {ENVIRONMENT_PREFIX + name.upper(): parsed[name] for name in names if parsed.get(name) is not None}
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in given.items()}
