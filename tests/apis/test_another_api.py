"""Another API is a module, a schema and a row in each of two tables: reads, discovery, OpenAPI and metrics follow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GROUP = "fourth.metrics.example.com"
ROW = f'    APIVersion("{GROUP}", "v1", "FourthValueList", "f", fourth_v1.FourthValueListSchema()),\n'
ASK = """
import json
from werkzeug.test import Client
from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app

server = create_app(settings_from({}))
server.start()
client = Client(server)
aggregated = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
group = "/apis/fourth.metrics.example.com"
read = f"{group}/v1/namespaces/default/my-external-metric"
print(json.dumps({
    "groups": [each["name"] for each in client.get("/apis").json["groups"]],
    "aggregated": [each["metadata"]["name"] for each in client.get("/apis", headers=aggregated).json["items"]],
    "resources": [each["kind"] for each in client.get(f"{group}/v1").json["resources"]],
    "read": client.get(read).json,
    "openapi": client.get(f"/openapi/v3{group}/v1").status_code,
    "counted": 'group="fourth.metrics.example.com",resource="*"' in client.get("/metrics").text,
}))
server.stop()
"""


def test_it_is_served_everywhere(tmp_path: Path) -> None:
    """Copied from the external API, under names of its own."""
    for folder in ("app", "providers"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "app" / "metrics_apiserver"
    module = (package / "apis" / "external.py").read_text(encoding="utf-8")
    module = module.replace("EXTERNAL_METRICS_API", "FOURTH_API")
    module = module.replace(
        'name = "external"\n    group = EXTERNAL_METRICS\n', f'name = "fourth"\n    group = "{GROUP}"\n'
    )
    (package / "apis" / "fourth.py").write_text(module, encoding="utf-8")
    schema = (package / "schemas" / "external_metrics_v1beta1.py").read_text(encoding="utf-8")
    schema = schema.replace("external.metrics.k8s.io/v1beta1", f"{GROUP}/v1").replace("ExternalMetric", "Fourth")
    (package / "schemas" / "fourth_v1.py").write_text(schema, encoding="utf-8")
    add_row(
        package / "schemas" / "table.py",
        ("from metrics_apiserver.schemas.dumper", "from metrics_apiserver.schemas import fourth_v1\n"),
        (
            "    APIVersion(\n",
            f'    APIVersion("{GROUP}", "v1", "FourthValueList", "f", fourth_v1.FourthValueListSchema()),\n',
        ),
    )
    add_row(
        package / "apis" / "table.py",
        ("from metrics_apiserver.apis.external", "from metrics_apiserver.apis.fourth import FOURTH_API\n"),
        ("_BY_GROUP =", "APIS = (*APIS, FOURTH_API)\n"),
    )
    path = os.pathsep.join(str(tmp_path / folder) for folder in ("app", "providers"))
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert GROUP in found["groups"]
    assert GROUP in found["aggregated"]
    assert set(found["resources"]) == {"FourthValueList"}
    assert (found["read"]["kind"], found["read"]["apiVersion"]) == ("FourthValueList", f"{GROUP}/v1")
    assert found["read"]["items"]
    assert (found["openapi"], found["counted"]) == (200, True)


def add_row(file: Path, *rows: tuple[str, str]) -> None:
    """Put each row before the first line that begins so."""
    text = file.read_text(encoding="utf-8")
    for before, row in rows:
        assert before in text
        text = text.replace(before, row + before, 1)
    file.write_text(text, encoding="utf-8")
