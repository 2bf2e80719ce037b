"""Fields for the schema of a provider's options: what people write in the same way everywhere in the file."""

from metrics_apiserver.settings.durations import DurationField
from metrics_apiserver.settings.quantities import QuantityField

__all__ = ["DurationField", "QuantityField"]
