"""`metrics-apiserver get`: a real server, read with kubectl's look."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.commands.get import Asked, GetError, Server, get
from tests.live.server import COMMAND, LiveServer


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """With the embedded default."""
    with LiveServer(tmp_path_factory.mktemp("served")) as server:
        server.wait_until_ready()
        yield server


def run(server: LiveServer, *arguments: str, code: int = 0) -> list[str]:
    """Run the command; gives the lines it wrote, those of stderr where it fails."""
    command = [str(COMMAND), "get", *arguments, f"--server={server.url}", f"--ca-file={server.ca_file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return (done.stderr if code else done.stdout).splitlines()


@pytest.mark.parametrize(
    ("arguments", "head", "rows"),
    [
        pytest.param(
            ["pods", "packets-per-second", "-l", "app=web"],
            ["NAMESPACE", "NAME", "VALUE", "AGE"],
            [["default", "web-0"], ["default", "web-1"]],
            id="pods whose labels match",
        ),
        pytest.param(
            ["pods", "packets-per-second", "web-0"],
            ["NAMESPACE", "NAME", "VALUE", "AGE"],
            [["default", "web-0"]],
            id="one by its name",
        ),
        pytest.param(
            ["pods", "packets-per-second", "web-0", "-o", "wide"],
            ["NAMESPACE", "NAME", "KIND", "METRIC", "WINDOW", "TIMESTAMP", "VALUE", "AGE"],
            [["default", "web-0", "Pod", "packets-per-second", "<none>"]],
            id="wide",
        ),
        pytest.param(
            ["external", "my-external-metric"],
            ["LABELS", "VALUE", "AGE"],
            [["foo=bar", "42"], ["foo=baz", "43"]],
            id="an external metric",
        ),
        pytest.param(
            ["external", "MY-external-metric", "-l", "foo=baz", "-o", "wide"],
            ["LABELS", "METRIC", "WINDOW", "TIMESTAMP", "VALUE", "AGE"],
            [["foo=baz", "my-external-metric", "<none>"]],
            id="one series, and another case",
        ),
    ],
)
def test_table_is_as_kubectl_prints_it(
    server: LiveServer, arguments: list[str], head: list[str], rows: list[list[str]]
) -> None:
    lines = run(server, *arguments)
    assert lines[0].split() == head
    cells = [line.split() for line in lines[1:]]
    assert [row[: len(expected)] for row, expected in zip(cells, rows, strict=True)] == rows


def test_json_and_yaml_are_the_servers_document(server: LiveServer) -> None:
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        document: Any = read("\n".join(run(server, "external", "my-external-metric", "-o", output)))  # type: ignore[operator]
        assert document["kind"] == "ExternalMetricValueList"
        assert [item["value"] for item in document["items"]] == ["42", "43"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(
            ["pods", "nothing", "web-0"],
            "Error from server (NotFound): the server could not find the metric nothing for pods web-0",
            id="not found, in the server's words",
        ),
        pytest.param(
            ["pods", "packets-per-second", "-l", "a in"], "Error from server (BadRequest): ", id="a wrong selector"
        ),
    ],
)
def test_failure_is_the_servers_sentence(server: LiveServer, arguments: list[str], sentence: str) -> None:
    (line,) = run(server, *arguments, code=1)
    assert line.startswith(sentence)


def test_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GetError, match=r"error: https://127\.0\.0\.1:1 cannot be reached: .*Connection refused"):
        Server("https://127.0.0.1:1").connect()("/apis")
    path = tmp_path / "kubeconfig"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(GetError, match="no current-context"):
        Server("", kubeconfig=str(path)).connect()


class Printed:
    """What a command has written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        self.lines += text.splitlines()
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)


def _item(name: str, value: str) -> dict[str, Any]:
    described = {"kind": "Pod", "namespace": "shop", "name": name}
    return {"describedObject": described, "metric": {"name": "rps"}, "timestamp": None, "value": value}


def test_watch_prints_what_has_changed() -> None:
    """The head once, and a row again when it is another."""
    answers = [[_item("a", "1"), _item("b", "1")], [_item("a", "1"), _item("b", "2")], [_item("a", "1")]]
    out, rows = Printed(), []
    for items in answers:
        documents = {"/apis/custom.metrics.k8s.io/v1beta2": {"resources": []}}
        rows = get(
            Asked("pods", "rps", namespace="shop"),
            lambda path, items=items, documents=documents: documents.get(path, {"items": items}),  # type: ignore[misc]
            output="table",
            out=out,  # type: ignore[arg-type]
            previous=rows,
        )
    assert [line.split()[:3] for line in out.lines] == [
        ["NAMESPACE", "NAME", "VALUE"],
        ["shop", "a", "1"],
        ["shop", "b", "1"],
        ["shop", "b", "2"],
    ]


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        pytest.param(Asked("pods", "rps"), "/namespaces/default/pods/*/rps", id="pods"),
        pytest.param(Asked("pods", "rps", namespace="*"), "/namespaces/*/pods/*/rps", id="of every namespace"),
        pytest.param(
            Asked("deployments.apps", "a b", "web"), "/namespaces/default/deployments.apps/web/a%20b", id="a b"
        ),
        pytest.param(Asked("nodes", "heat", "n"), "/nodes/n/heat", id="nodes, which nobody lists"),
        pytest.param(Asked("widgets", "size", "n"), "/widgets/n/size", id="what is listed as root-scoped"),
        pytest.param(Asked("namespaces", "work", "shop"), "/namespaces/shop/metrics/work", id="a namespace's own"),
        pytest.param(
            Asked("pods", "rps", selector="a=b", metric_selector="c"),
            "/namespaces/default/pods/*/rps?labelSelector=a%3Db&metricLabelSelector=c",
            id="selectors",
        ),
    ],
)
def test_path_is_that_of_the_api(asked: Asked, target: str) -> None:
    listed = {"resources": [{"name": "widgets/size", "namespaced": False}, {"name": "pods/rps", "namespaced": True}]}
    paths = []

    def fetch(path: str) -> dict[str, Any]:
        paths.append(path)
        return listed if path.endswith("/v1beta2") else {"items": []}

    out = Printed()
    get(asked, fetch, output="table", out=out)  # type: ignore[arg-type]
    assert paths[-1] == f"/apis/custom.metrics.k8s.io/v1beta2{target}"
    assert out.lines == ["No resources found"]
