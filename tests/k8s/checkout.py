"""A reader's checkout: a copy of k8s/, in which the page's commands are run."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.account import account_token
from tests.controlplane.credentials import write_token_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.packaging.pages import ROOT, steps

__all__ = [
    "ACCOUNT",
    "CERTIFICATE",
    "INSTALL",
    "NAMESPACE",
    "Checkout",
    "account_kubeconfig",
    "find",
    "the",
]

INSTALL = ROOT / "docs" / "install.md"
# The commands which make the certificate.
CERTIFICATE = [step.command for step in steps(INSTALL) if step.command.startswith("openssl ")]
NAMESPACE = ACCOUNT = "metrics-apiserver"


@dataclass(frozen=True)
class Checkout:
    """The folder, and the kubectl that is first on its reader's PATH."""

    folder: Path
    kubectl: Path

    @classmethod
    def make(cls, folder: Path, kubectl: Path) -> Checkout:
        """Copy what the commands need, without what somebody made in k8s/ for a cluster of theirs."""
        shutil.copytree(ROOT / "k8s", folder / "k8s", ignore=shutil.ignore_patterns("*.crt", "*.csr", "*.key", "*.srl"))
        return cls(folder, kubectl)

    def run(self, command: str, *, kubeconfig: Path | None = None) -> str:
        """Run a command of the page as it stands, and give what it prints; a failure is an AssertionError."""
        environ = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        environ |= {"PATH": os.pathsep.join([str(self.kubectl.parent), os.environ["PATH"]]), "KUBERC": "off"}
        # kubectl keeps what it discovers in the home.
        environ["HOME"] = str(self.folder)
        if kubeconfig is not None:
            environ["KUBECONFIG"] = str(kubeconfig)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=environ, capture_output=True, text=True, timeout=150
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def render(self, name: str) -> list[dict[str, Any]]:
        """Give the objects of a kustomization, by its folder below k8s/."""
        return list(yaml.safe_load_all(self.run(f"kubectl kustomize k8s/{name}")))

    def overlay(self, name: str, **kustomization: Any) -> str:
        """Write a kustomization of the reader's own, and give its folder below k8s/."""
        folder = self.folder / "k8s" / "overlays" / name
        folder.mkdir(exist_ok=True)
        head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump({**head, **kustomization}), encoding="utf-8")
        return f"overlays/{name}"


def find(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Give the objects of a kind."""
    return [item for item in objects if item["kind"] == kind]


def the(objects: list[dict[str, Any]], kind: str, name: str = ACCOUNT) -> dict[str, Any]:
    """Give the object of a kind and a name."""
    (found,) = (item for item in find(objects, kind) if item["metadata"]["name"] == name)
    return found


def account_kubeconfig(
    control_plane: ControlPlane, folder: Path, *, namespace: str = NAMESPACE, name: str = ACCOUNT
) -> Path:
    """Write a kubeconfig with a token of an account that is there already."""
    path = folder / f"{namespace}-{name}.kubeconfig"
    token = account_token(control_plane, name, namespace=namespace)
    write_token_kubeconfig(path, server=control_plane.url, ca=control_plane.ca, token=token)
    return path
