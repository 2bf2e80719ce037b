import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.controlplane.plane import ControlPlane
from tests.controlplane.process import Process, ProcessError
from tests.controlplane.waiting import wait_until

TIMEOUT = 30.0
CHECKOUT = Path(__file__).parents[2]

# A pod on a node waits for its kubelet when it is deleted; one without a node goes at once.
BOUND_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: bound, namespace: default}
spec:
  nodeName: somewhere
  containers: [{name: main, image: none}]
"""


@pytest.fixture
def deployment(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Callable[[int], None]]:
    """Make a Deployment named web with no pods, and give a function which scales it and waits for the Ready pods."""
    kubectl = control_plane.kubectl
    kubectl("create", "deployment", "web", "--image=none", "--replicas=0")

    def scale(replicas: int) -> None:
        kubectl("scale", "deployment/web", f"--replicas={replicas}")
        pods = []

        def settled() -> bool:
            pods[:] = json.loads(kubectl("get", "pods", "--selector=app=web", "--output=json").stdout)["items"]
            return len(pods) == replicas and all(is_ready(pod) for pod in pods)

        wait_until(settled, TIMEOUT, lambda: f"not {replicas} Ready pods, but {pods}")

    yield scale
    kubectl("delete", "deployment/web", "--cascade=foreground")


def is_ready(pod: dict) -> bool:
    """Tell whether a pod is Running and Ready."""
    conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", [])}
    return pod["status"]["phase"] == "Running" and conditions.get("Ready") == "True"


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def is_running(pid: int) -> bool:
    """Tell whether a process exists, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


def test_the_apiserver_reports_the_version_of_its_build(control_plane: ControlPlane) -> None:
    """Discovery clients decide by this version; an unstamped build would say v0.0.0-master."""
    answer = json.loads(control_plane.kubectl("get", "--raw", "/version").stdout)
    assert answer["gitVersion"] == control_plane.binaries.version == "v1.36.3"
    assert (answer["major"], answer["minor"]) == ("1", "36")


def test_kubectl_reports_the_same_version_for_itself(control_plane: ControlPlane) -> None:
    """The tests' kubectl is of the same build."""
    answer = json.loads(control_plane.kubectl("version", "--output=json").stdout)
    assert answer["clientVersion"]["gitVersion"] == answer["serverVersion"]["gitVersion"] == "v1.36.3"


def test_kubectl_reads_its_input(control_plane: ControlPlane) -> None:
    """What a test passes as input is what `-f -` reads."""
    namespace = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "given"}}'
    result = control_plane.kubectl("apply", "--dry-run=server", "--filename=-", input=namespace)
    assert result.stdout == "namespace/given created (server dry run)\n"


def test_a_failed_kubectl_raises_with_what_it_said(control_plane: ControlPlane) -> None:
    """The error that pytest shows has kubectl's own words."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        control_plane.kubectl("get", "pod", "absent")
    assert 'pods "absent" not found' in "".join(caught.value.__notes__)
    assert control_plane.kubectl("get", "pod", "absent", check=False).returncode == 1


def test_pods_of_a_deployment_become_ready_and_go_away(deployment: Callable[[int], None]) -> None:
    """Controllers and the stand-in kubelet bring a Deployment to two Ready pods, and back to none."""
    deployment(2)
    deployment(0)


def test_a_terminating_pod_on_a_node_is_deleted(control_plane: ControlPlane) -> None:
    """The apiserver leaves the end of a bound pod to the kubelet: ours deletes it at once, not after 30 s."""
    control_plane.kubectl("apply", "--filename=-", input=BOUND_POD)
    control_plane.kubectl("wait", "--for=condition=Ready", "pod/bound", "--timeout=20s")
    control_plane.kubectl("delete", "pod/bound", "--timeout=20s")


def test_objects_and_kubelet_outlive_a_restart_of_the_apiserver(
    control_plane: ControlPlane, deployment: Callable[[int], None]
) -> None:
    """The apiserver comes back on its port with its data, and everything that watches it goes on."""
    deployment(1)
    before = control_plane.pids
    control_plane.restart_apiserver()
    after = control_plane.pids
    assert {name for name in before if before[name] != after[name]} == {"kube-apiserver"}
    deployment(2)


def test_a_stopped_apiserver_answers_nobody(control_plane: ControlPlane) -> None:
    """Between stop and start requests are refused, and the rest of the plane runs."""
    control_plane.stop_apiserver()
    try:
        result = control_plane.kubectl("get", "--raw", "/version", check=False)
        assert "refused" in result.stderr
        control_plane.check()
    finally:
        control_plane.start_apiserver()
    assert control_plane.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_requests_are_in_the_audit_log(control_plane: ControlPlane) -> None:
    """Each answered request is one event that names its path and its user."""
    path = "/api/v1/namespaces/default/configmaps/never-made"
    control_plane.kubectl("get", "--raw", path, check=False)
    events = [json.loads(line) for line in control_plane.log("audit").splitlines()]
    [event] = [event for event in events if event["requestURI"] == path]
    assert event["level"] == "Metadata"
    assert event["stage"] == "ResponseComplete"
    assert event["user"]["username"] == "admin"


@pytest.mark.parametrize("name", ["etcd", "kube-apiserver", "kube-controller-manager"])
def test_each_process_has_its_log(control_plane: ControlPlane, name: str) -> None:
    """Every process of the plane runs under the id it recorded, and writes to a log of its name."""
    assert control_plane.log(name)
    assert control_plane.pids[name] == int((control_plane.directory / f"{name}.pid").read_text())
    assert is_running(control_plane.pids[name])


def test_only_its_user_can_read_the_folder(control_plane: ControlPlane) -> None:
    """The folder is closed, and every key and kubeconfig in it once more."""
    assert mode(control_plane.directory) == 0o700
    secrets = [*control_plane.directory.rglob("*.key"), *control_plane.directory.rglob("*.kubeconfig")]
    assert {path.name for path in secrets} >= {"ca.key", "front-proxy-ca.key", "admin.key", "admin.kubeconfig"}
    assert {str(path): oct(mode(path)) for path in secrets if mode(path) != 0o600} == {}


def test_a_process_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """A program that fails says why in its log; the error repeats it."""
    process = Process("failing", ["/bin/sh", "-c", "echo no such flag; exit 3"], directory=tmp_path)
    process.start()

    def check() -> bool:
        process.check()
        return False

    with pytest.raises(ProcessError, match=r"(?s)failing ended with status 3\..*no such flag"):
        wait_until(check, TIMEOUT, "it goes on")
    process.stop()
    assert process.pid is None


def test_a_process_dies_with_the_one_that_started_it(tmp_path: Path) -> None:
    """Even a killed test run leaves nothing behind."""
    code = """if True:
        import pathlib, sys, time
        from tests.controlplane.process import Process
        Process("child", ["/bin/sleep", "300"], directory=pathlib.Path(sys.argv[1])).start()
        print("started", flush=True)
        time.sleep(300)
    """
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "started\n"
        pid = int((tmp_path / "child.pid").read_text())
        # Only then is the leash on for sure.
        wait_until(lambda: "sleep" in Path(f"/proc/{pid}/comm").read_text(), TIMEOUT, "the child does not sleep")
        parent.kill()
    wait_until(lambda: not is_running(pid), TIMEOUT, f"process {pid} is still there")


def test_waiting_in_vain_tells_what_for() -> None:
    """The error has the time and the sentence, which may be made at the end."""
    states = ["first", "last"]
    with pytest.raises(TimeoutError, match=r"^after 0 s: still last$"):
        wait_until(lambda: False, 0, lambda: f"still {states[-1]}")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Give a function that starts `python -m tests.controlplane` on the folder `plane` of the test's own."""
    with_output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.controlplane", "--directory", tmp_path / "plane"]
        # In a session of its own, as a process group's Ctrl-C is for that group only.
        process = subprocess.Popen(command, cwd=CHECKOUT, start_new_session=True, **with_output)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_program_shares_its_files_and_leaves_no_process(
    tmp_path: Path, program: Callable[[], subprocess.Popen[str]], number: signal.Signals
) -> None:
    """`make controlplane` says how to use it, refuses a second run in its folder, and ends in order."""
    directory = tmp_path / "plane"
    process = program()
    first = process.stdout.readline()
    assert first.startswith("Kubernetes v1.36.3 is ready at https://127.0.0.1:"), process.communicate()
    assert mode(directory) == 0o700
    for name in ("ca", "front-proxy-ca", "front-proxy-client"):
        assert "BEGIN CERTIFICATE" in (directory / f"{name}.crt").read_text()
        assert mode(directory / f"{name}.key") == 0o600
    assert mode(directory / "admin.kubeconfig") == 0o600
    pids = [int(path.read_text()) for path in directory.glob("run/*.pid")]
    assert len(pids) == 3
    assert all(is_running(pid) for pid in pids)

    second = program()
    _, refusal = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 1
    assert refusal.startswith(f"A control plane is running in {directory}: ")

    # The group gets it, as from a terminal.
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert errors == ""
    assert [pid for pid in pids if is_running(pid)] == []


def test_the_program_does_not_touch_a_folder_of_something_else(
    tmp_path: Path, program: Callable[[], subprocess.Popen[str]]
) -> None:
    """A folder with other files in it is refused, and stays as it is."""
    directory = tmp_path / "plane"
    (directory / "run").mkdir(parents=True)
    process = program()
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert "holds something other than a control plane" in errors
    assert [path.name for path in directory.iterdir()] == ["run"]
