"""A reload on a real server, while many read: no request fails, and the values are those of the file."""

from __future__ import annotations

import itertools
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer, send
from tests.mounts import Mount

READ = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue-depth"
CLIENTS = 4
ONE = "providers:\n- {name: ten, kind: constant, options: {value: 1}}\n- {name: values, kind: writable}\n"
TWO = "providers:\n- {name: values, kind: writable}\n- {name: ten, kind: constant, options: {value: 2}, cache: 100ms}\n"
WRONG = "providers:\n- name: ten\n  kind: constant\n  options: {value: x}\n"


class Readers:
    """Clients that read all the time, each on a connection that it keeps."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._stopping = threading.Event()
        self.answers: list[tuple[int, str | None]] = []

    def latest(self) -> str | None:
        return self.answers[-1][1] if self.answers else None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read as long as the block runs; what a client meets with is raised at its end."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._read) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                self._stopping.set()
            for client in clients:
                client.result(30)

    def _read(self) -> None:
        with closing(self._server.connect()) as connection:
            while not self._stopping.is_set():
                answer = send(connection, "GET", READ, {})
                items = json.loads(answer.body).get("items", []) if answer.status == 200 else []
                self.answers.append((answer.status, items[0]["value"] if items else None))


def plain(folder: Path) -> tuple[Path, Callable[[str], None]]:
    """A file that is written over."""
    path = folder / "config.yaml"

    def write(text: str) -> None:
        path.write_text(text, encoding="utf-8")

    return path, write


def mounted(folder: Path) -> tuple[Path, Callable[[str], None]]:
    """A file of a mounted ConfigMap."""
    mount = Mount(folder / "config")
    return mount.folder / "config.yaml", lambda text: mount.put({"config.yaml": text.encode()})


@pytest.mark.parametrize("place", [pytest.param(plain, id="a file"), pytest.param(mounted, id="a ConfigMap")])
def test_reload_under_load(tmp_path: Path, place: Callable[[Path], tuple[Path, Callable[[str], None]]]) -> None:
    """Ten changes between two right contents and a wrong one."""
    path, write = place(tmp_path)
    write(ONE)
    with LiveServer(tmp_path, f"--config={path}", "--request-timeout=1s") as server:
        readers = Readers(server)

        def refused(times: int) -> bool:
            text = server.ask("GET", "/debug/status", {}).text
            words = ("refused at 20", f"{path}:4: provider ten (constant, ")
            said = "[+]configuration ok: a newer one is refused" in server.ask("GET", "/readyz?verbose", {}).text
            return said and all(word in text for word in words) and server.log().count("is refused") == times

        with readers.reading():
            wait_until(lambda: readers.latest() == "1", 10, "nothing was read")
            wrong = 0
            for text in itertools.islice(itertools.cycle((TWO, WRONG, ONE)), 10):
                before = len(readers.answers)
                write(text)
                if text is WRONG:
                    wrong += 1
                    wait_until(lambda count=wrong: refused(count), 20, lambda: f"not refused:\n{server.log()}")
                    assert readers.latest() == "2"
                else:
                    value = "2" if text is TWO else "1"
                    wait_until(lambda value=value: readers.latest() == value, 20, lambda: f"no change:\n{server.log()}")
                assert len(readers.answers) > before
        assert {status for status, _ in readers.answers} == {200}
        assert {value for _, value in readers.answers} == {"1", "2"}
        metrics = server.ask("GET", "/metrics", {}).text
        assert "metrics_apiserver_config_last_reload_successful 1.0" in metrics


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(WRONG, id="options that do not fit"),
        pytest.param("providers: [", id="not YAML"),
        pytest.param("", id="an empty file"),
        pytest.param(
            "providers: [{name: queues, kind: functions, options: {file: nowhere.py}}]",
            id="a provider that cannot begin",
        ),
    ],
)
def test_signal_with_a_wrong_file_ends_nothing(tmp_path: Path, wrong: str) -> None:
    """The worker that takes over finds it, and goes on with what its predecessor took over, until it is right."""
    path, write = plain(tmp_path)
    write(ONE)
    with LiveServer(tmp_path, f"--config={path}", "--request-timeout=1s") as server:

        def value() -> str:
            return str(server.ask("GET", READ, {}).json["items"][0]["value"])

        assert value() == "1"
        write(TWO)
        wait_until(lambda: value() == "2", 20, server.log)
        write(wrong)
        wait_until(lambda: "is refused" in server.log(), 20, server.log)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "goes on with what was taken over last" in server.log(), 20, server.log)
        wait_until(lambda: server.log().count("is refused") == 2, 20, server.log)
        assert value() == "2"
        write(ONE)
        wait_until(lambda: value() == "1", 20, server.log)
    assert "Traceback" not in server.log()


def test_stop_while_a_reload_is_fresh(tmp_path: Path) -> None:
    """What has just left is stopped with the server, in time."""
    path, write = plain(tmp_path)
    write(ONE)
    with LiveServer(tmp_path, f"--config={path}", "--request-timeout=1m") as server:
        write(TWO)
        wait_until(lambda: "was taken over from" in server.log(), 20, server.log)
    assert "left behind" not in server.log()
