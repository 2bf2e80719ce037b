"""One marshmallow field per wire type of the Kubernetes API, and the fields that are left out when empty."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import fields, missing

from metrics_apiserver.settings.quantities import QuantityField

__all__ = [
    "OptionalInteger",
    "OptionalList",
    "OptionalMapping",
    "OptionalString",
    "QuantityField",
    "Time",
    "described",
    "rfc3339",
]


class LeftOutWhenEmpty(fields.Field[Any]):
    """What Go marks `omitempty`: None, "", {} and [] are not written at all."""

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> Any:
        value = super().serialize(attr, obj, accessor, **kwargs)
        return missing if value is None or value in ("", {}, []) else value


class OptionalString(LeftOutWhenEmpty, fields.String):
    """A string that is left out when empty."""


class OptionalInteger(LeftOutWhenEmpty, fields.Integer):
    """An integer that is left out when unknown."""


class OptionalMapping(LeftOutWhenEmpty, fields.Dict):
    """A map that is left out when empty."""


class OptionalList(LeftOutWhenEmpty, fields.List[Any]):
    """A list that is left out when empty."""


class Time(fields.Field[datetime]):
    """meta/v1 `Time`: RFC 3339 in UTC, to the second."""

    default_error_messages = {"invalid": "Not an RFC 3339 time."}  # noqa: RUF012 - marshmallow's own convention

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            time = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise self.make_error("invalid") from error
        if time.tzinfo is None:
            raise self.make_error("invalid")
        return time


def rfc3339(time: datetime) -> str:
    """Return a time in UTC, to the second; a year has four digits, which strftime does not promise."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def described(text: str) -> dict[str, str]:
    """Return a field's metadata: OpenAPI shows the text."""
    return {"description": text}
