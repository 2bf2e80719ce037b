"""Quantities as people and Kubernetes write them: `10`, `1500m`, `1.5Gi`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from metrics_apiserver.model.quantity import Quantity, QuantityError

__all__ = ["QuantityField"]


class QuantityField(fields.Field[Quantity]):
    """Reads a quantity, text or number, and writes its canonical text."""

    def _serialize(self, value: Quantity | None, attr: str | None, obj: Any, **_: Any) -> str | None:
        return None if value is None else str(value)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> Quantity:
        try:
            return Quantity.of(value)
        except (QuantityError, TypeError) as error:
            raise ValidationError(str(error)) from error
