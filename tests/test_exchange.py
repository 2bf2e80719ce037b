"""What serving and the application hand each other."""

from __future__ import annotations

import uuid

from metrics_apiserver.exchange import audit_id_of


def test_new_audit_ids_are_random_uuids() -> None:
    """As k8s.io/apiserver makes them."""
    made = [audit_id_of() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)
