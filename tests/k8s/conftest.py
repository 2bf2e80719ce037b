"""A control plane of their own, as these tests take rights away in it; and a checkout with the page's certificate."""

from __future__ import annotations

import pytest

from tests.controlplane.build import ensure_binaries
from tests.controlplane.conftest import control_plane, pytest_collection_finish  # noqa: F401 - pytest finds them here
from tests.k8s.checkout import CERTIFICATE, Checkout


@pytest.fixture(name="checkout", scope="session")
def _checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The manifests, with the certificate of the page's commands."""
    checkout = Checkout.make(tmp_path_factory.mktemp("checkout"), ensure_binaries().kubectl)
    for command in CERTIFICATE:
        checkout.run(command)
    return checkout
