"""One control plane for all tests of a session."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.controlplane.build import BuildError, ensure_binaries
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.plane import ControlPlane


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test runs, as a build takes longer than a test may."""
    if session.config.option.collectonly:
        return
    if not any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    # The fixture says it again, as the error of the tests that need it; the others run.
    with capture.global_and_fixture_disabled(), contextlib.suppress(BuildError):
        ensure_binaries()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane with a stand-in kubelet for the whole session."""
    with ControlPlane.start(tmp_path_factory.mktemp("controlplane")) as plane, Kubelet(plane.kubeconfig):
        yield plane
