"""Fields for the schema of a provider's options: what people write in the same way everywhere in the file."""

from app.settings.durations import DurationField
from app.settings.quantities import QuantityField

__all__ = ["DurationField", "QuantityField"]
