"""What the providers list → the discovery documents, kept in memory and refreshed in the background.

No request ever waits for a provider here. No HTTP belongs here.
"""

from metrics_apiserver.discovery.documents import Documents, Encoded
from metrics_apiserver.discovery.listings import Discovery, Listed

__all__ = ["Discovery", "Documents", "Encoded", "Listed"]
