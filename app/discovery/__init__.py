"""What the providers list → the discovery documents, kept in memory and refreshed in the background.

No request ever waits for a provider here. No HTTP belongs here.
"""

from app.discovery.documents import Documents, Encoded
from app.discovery.listings import Discovery

__all__ = ["Discovery", "Documents", "Encoded"]
