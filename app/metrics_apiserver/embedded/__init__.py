"""The embedded default: what a server without any setting serves, and what to try with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from metrics_apiserver.settings import Settings

__all__ = ["curl_lines", "is_embedded", "read_lines"]


def is_embedded(settings: Settings) -> bool:
    """Return whether the embedded default is in use: the package's own objects, and their values."""
    if not any(each.kind == "writable" and each.options.get("values") for each in settings.providers):
        return False  # others take the objects alone
    with resources.as_file(resources.files("metrics_apiserver") / "embedded") as folder:
        return bool(settings.cluster.objects) and Path(settings.cluster.objects).parent == folder


def read_lines(paths: Iterable[str], address: str, cert: Path, *, given: bool) -> list[str]:
    """Return a request for each of these paths; `given` as in `curl_lines`."""
    return [f"curl {_trust(cert, given=given)} {shlex.quote(f'https://{address}{path}')}" for path in paths]


def _trust(cert: Path, *, given: bool) -> str:
    return "--insecure" if given else f"--cacert {shlex.quote(str(cert.resolve()))}"


def curl_lines(address: str, cert: Path, *, given: bool) -> list[str]:
    """Return three requests to try with the embedded default: two reads and a write.

    `given`: the certificate is the user's own, and whether the system trusts it is not known here.
    """
    trust, url = _trust(cert, given=given), f"https://{address}"
    custom, external = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
    value = "namespaces/default/pods/{}/packets-per-second"
    return [
        f"curl {trust} '{url}{custom}/{value.format('*')}?labelSelector=app%3Dweb'",
        f"curl {trust} '{url}{external}/namespaces/default/my-external-metric'",
        f"curl {trust} -X POST -H 'Content-Type: application/json' -d '\"500m\"'"
        f" '{url}/write-metrics/{value.format('web-0')}'",
    ]
