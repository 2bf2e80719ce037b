"""One control plane for all tests of a session."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.controlplane.build import CONTROL_PLANE, PREVIOUS_CONTROL_PLANE, BuildError, ensure_binaries
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.plane import ControlPlane

PLANES = {"control_plane": CONTROL_PLANE, "previous_control_plane": PREVIOUS_CONTROL_PLANE}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test runs, as a build takes longer than a test may."""
    if session.config.option.collectonly:
        return
    needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    modules = [module for name, module in PLANES.items() if name in needed]
    if not modules:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    # The fixture says it again, as the error of the tests that need it; the others run.
    with capture.global_and_fixture_disabled(), contextlib.suppress(BuildError):
        for module in modules:
            ensure_binaries(module)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane with a stand-in kubelet for the whole session."""
    with ControlPlane.start(tmp_path_factory.mktemp("controlplane")) as plane, Kubelet(plane.kubeconfig):
        yield plane


@pytest.fixture(scope="session")
def previous_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run one of the release before, with a stand-in kubelet."""
    binaries = ensure_binaries(PREVIOUS_CONTROL_PLANE)
    folder = tmp_path_factory.mktemp("previous-controlplane")
    with ControlPlane.start(folder, binaries=binaries) as plane, Kubelet(plane.kubeconfig):
        yield plane
