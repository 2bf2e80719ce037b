"""Follows a page: runs its commands in their order, starts what serves, and keeps what was printed.

Every command runs as it stands, but for these substitutions: the port of the server and the path of its certificate;
the newest Python for `python3`; the wheel for the distribution's name, which is in no index yet; and `make run` is what
it runs. As after an activation, `.venv/bin` is first on the PATH. What a test cannot run is listed in ELSEWHERE.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.live.server import LiveServer

__all__ = [
    "ELSEWHERE",
    "PAGES",
    "ROOT",
    "WITH_A_CLUSTER",
    "Block",
    "Follower",
    "Step",
    "blocks",
    "expected_after",
    "steps",
]

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
# Command → who runs it.
ELSEWHERE = {
    "make test": "it is what runs this test",
    "kubectl apply --filename hpa.yaml": "tests/controlplane/test_constant.py",
    "kubectl get hpa web": "tests/controlplane/test_constant.py",
    "docker build --tag registry.example.com/metrics-apiserver:0.1.0 .": "no engine here; tests/k8s/test_image.py",
    "metrics-apiserver serve --metrics queues.py": "tests/providers/functions/test_page.py",
    "curl --cacert apiserver.local.config/certificates/apiserver.crt 'https://127.0.0.1:6443/apis/external.metrics.k8s.io"
    "/v1beta1/namespaces/default/queue-depth?labelSelector=queue%3Dorders'": "tests/providers/functions/test_page.py",
    "curl --cacert apiserver.local.config/certificates/apiserver.crt 'https://127.0.0.1:6443/apis/custom.metrics.k8s.io"
    "/v1beta2/namespaces/default/pods/*/open-sessions'": "tests/providers/functions/test_page.py",
    "docker push registry.example.com/metrics-apiserver:0.1.0": "no registry here",
}
# Page → who follows all of it, as it needs a cluster.
WITH_A_CLUSTER = {ROOT / "docs" / "install.md": "tests/k8s/test_install.py"}
SERVING = {"make run": "gunicorn wsgi:app"}
SERVERS = [["metrics-apiserver", "serve"], ["python", "example_adapter.py"]]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str


@dataclass(frozen=True)
class Step:
    """A command of a page, and what the page says it prints; None where it says nothing."""

    command: str
    prints: str | None


def blocks(page: Path) -> list[Block]:
    """Give the fenced blocks in their order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [Block(*block) for block in found]


def steps(page: Path) -> list[Step]:
    """Give the commands of the ```sh blocks; a ```json or ```text block after one is what its last command prints."""
    found: list[Step] = []
    every = blocks(page)
    for block, following in pairwise([*every, Block("", "")]):
        if block.language != "sh":
            continue
        lines = block.text.replace("\\\n", " ").splitlines()
        commands = [line for line in lines if line and not line.startswith("#")]
        prints = following.text if following.language in ("json", "text") else None
        found += [Step(command, None) for command in commands[:-1]]
        found.append(Step(commands[-1], prints))
    return found


def expected_after(text: str) -> str:
    """Give what was printed, or should be, in a form to compare: times differ."""
    return TIME.sub("<time>", text.strip())


@dataclass
class Follower:
    """Runs the commands of one page in a folder; a context manager, which stops what serves."""

    folder: Path
    bin: Path
    substitutions: dict[str, str] = field(default_factory=dict)
    server: LiveServer | None = None

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        if self.server is not None:
            self.server.stop()

    def run(self, command: str) -> str:
        """Run one command, and give what it prints; what serves is started and left running."""
        command = SERVING.get(command, command)
        program, *arguments = shlex.split(command)
        if program == "gunicorn" or [program, *arguments[:1]] in SERVERS:
            self._serve(program, arguments)
            return ""
        for text, substitute in self.substitutions.items():
            command = command.replace(text, substitute)
        if program == "curl":
            command = f"{self._to_the_server(command)} --silent --show-error --fail"
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._environ(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, program: str, arguments: list[str]) -> None:
        if self.server is not None:
            self.server.stop()
        if program == "gunicorn" and "-c" not in arguments:
            # A checkout has these two, and a copy of it here would hide what is installed.
            for name in ("wsgi.py", "gunicorn.conf.py"):
                shutil.copy(ROOT / name, self.folder / name)
        self.server = LiveServer(self.folder, command=(str(self.bin / program), *arguments))
        try:
            self.server.wait_until_live()
        except BaseException:
            self.server.kill()
            self.server = None
            raise

    def _to_the_server(self, command: str) -> str:
        assert self.server is not None, f"nothing serves yet: {command}"
        return command.replace("https://127.0.0.1:6443", self.server.url).replace(
            "apiserver.local.config/certificates/apiserver.crt", str(self.server.ca_file)
        )

    def _environ(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        path = os.pathsep.join([str(self.bin), os.environ["PATH"]])
        return {**mine, "PATH": path, "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_QUIET": "1"}
