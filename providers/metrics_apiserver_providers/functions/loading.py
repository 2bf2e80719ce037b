"""The author's file or module → the Metrics in it."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from marshmallow import ValidationError, fields, validate, validates, validates_schema

from metrics_apiserver.provider import Options
from metrics_apiserver.provider.functions import Metrics

__all__ = ["FunctionsOptions", "Loaded", "LoadingError", "load"]

_MODULE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?\Z"
# Part of the module's name: two instances of one file share nothing.
_numbers = count(1)
# What the files held when they were right the last time: of the server's start in its master, and so in every worker.
# A worker that takes the place of another goes on with that where a file is wrong by now.
_right: dict[str, bytes] = {}


class LoadingError(Exception):
    """The file or the module cannot be loaded; the sentence says where it fails."""


def _check_file(name: str) -> None:
    """Refuse a file that is not there, or is not Python; it is not run."""
    try:
        content = Path(name).read_bytes()
        compile(content, name, "exec")
    except OSError as error:
        raise ValidationError(f"{name} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise ValidationError(f"{name}{_line_of_syntax(error)}: {_message(error)}") from error
    _right.setdefault(name, content)


def _check_metrics(value: Any) -> None:
    if not isinstance(value, Metrics):
        raise ValidationError("Only a program can give Metrics; a configuration names a file or a module.")


class FunctionsOptions(Options):
    """Where the functions are: exactly one of the three."""

    file = fields.String(
        metadata={"help": "The Python file with the functions, from the working directory; all Metrics in it count."},
    )
    module = fields.String(
        validate=validate.Regexp(_MODULE, error="Must be package.module, or package.module:metrics."),
        metadata={"help": "An installed module instead, `package.module` or `package.module:metrics`."},
    )
    metrics = fields.Raw(validate=_check_metrics, metadata={"help": "From a program only: the Metrics themselves."})

    @validates("file")
    def _is_python(self, name: str, **_: Any) -> None:
        if not (self.restarting and name in _right):
            _check_file(name)

    @validates_schema
    def _names_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("Exactly one of file and module is needed.")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The Metrics that were found, and how to forget the module they are in."""

    metrics: Sequence[Metrics]
    forget: Callable[[], None]


def load(options: Mapping[str, Any], *, restarting: bool = False, logger: logging.Logger | None = None) -> Loaded:
    """Load what the options name. Raises LoadingError.

    `restarting`: of a file that is wrong by now, what it held when the server started is loaded, which is logged.
    """
    if "metrics" in options:
        return Loaded([options["metrics"]], lambda: None)
    if "file" not in options:
        return _load_module(options["module"])
    name = options["file"]
    try:
        return _load_file(name, None)
    except LoadingError as error:
        if not restarting or name not in _right:
            raise
        loaded = _load_file(name, _right[name])
        (logger or logging.getLogger(__name__)).error("%s; what it held at the start is served instead", error)
        return loaded


def _load_file(name: str, content: bytes | None) -> Loaded:
    """Run the file as a module under a name of its own, which is nobody else's; `content` in the place of its own."""
    path = Path(name)
    module = ModuleType(f"_metrics_functions_{next(_numbers)}.{path.stem}")
    module.__file__ = str(path)
    # Dataclasses and pickle look for their module by its name.
    sys.modules[module.__name__] = module
    try:
        text = path.read_bytes() if content is None else content
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - the author's own program
        return Loaded(_registered(module, name), lambda: _forget(module))
    except LoadingError:
        _forget(module)
        raise
    except BaseException as error:
        _forget(module)
        raise LoadingError(f"{name}{_line(error, str(path))}: {_message(error)}") from error


def _load_module(name: str) -> Loaded:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:
        raise LoadingError(f"the module {module_name} cannot be imported: {_message(error)}") from error
    if not attribute:
        return Loaded(_found(module, module_name), lambda: None)
    metrics = getattr(module, attribute, None)
    if not isinstance(metrics, Metrics):
        raise LoadingError(f"{attribute} of the module {module_name} is not a Metrics, but {type(metrics).__name__}")
    return Loaded([metrics], lambda: None)


def _registered(module: ModuleType, name: str) -> Sequence[Metrics]:
    """Return the Metrics of a file, which is all that there will be: one without a function is a mistake."""
    found = _found(module, name)
    if not any(metrics.registrations for metrics in found):
        raise LoadingError(f'{name} registers no function: write @metrics.external("queue-depth") above one')
    return found


def _found(module: ModuleType, name: str) -> Sequence[Metrics]:
    found = {id(value): value for value in vars(module).values() if isinstance(value, Metrics)}
    if not found:
        raise LoadingError(f"{name} has no Metrics: write metrics = Metrics() in it, and register functions there")
    return list(found.values())


def _forget(module: ModuleType) -> None:
    sys.modules.pop(module.__name__, None)


def _line(error: BaseException, file: str) -> str:
    """Say in which line of the file it happened: the last one that ran there."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return _line_of_syntax(error)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", line {lines[-1]}" if lines else ""


def _line_of_syntax(error: Exception) -> str:
    return f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""


def _message(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
