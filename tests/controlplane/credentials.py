"""Who is who in one control plane: the files of its two authorities, its servers, its users and its kubeconfigs."""

import base64
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.controlplane.certificates import Authority, Certificate, Usage, write_private, write_signing_keys

__all__ = ["Credentials", "write_kubeconfig", "write_token_kubeconfig"]

APISERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
# The second is the first address of the service network: the Service `kubernetes`.
APISERVER_ADDRESSES = ("127.0.0.1", "10.0.0.1")


@dataclass(frozen=True)
class Credentials:
    """The authorities of a control plane, and the folder which holds all certificates and keys as files."""

    directory: Path
    ca: Authority
    front_proxy_ca: Authority
    front_proxy_client: Certificate
    admin: Certificate
    controller_manager: Certificate

    @classmethod
    def create(cls, directory: Path) -> "Credentials":
        """Make new ones and write them below the folder, each as `<name>.crt` and `<name>.key`."""
        directory.mkdir(mode=0o700)
        ca, front_proxy_ca = Authority("ca"), Authority("front-proxy-ca")
        credentials = cls(
            directory=directory,
            ca=ca,
            front_proxy_ca=front_proxy_ca,
            front_proxy_client=front_proxy_ca.issue("front-proxy-client"),
            admin=ca.issue("admin", organizations=["system:masters"]),
            controller_manager=ca.issue("system:kube-controller-manager"),
        )
        ca.certificate.write(directory, "ca")
        front_proxy_ca.certificate.write(directory, "front-proxy-ca")
        credentials.front_proxy_client.write(directory, "front-proxy-client")
        credentials.admin.write(directory, "admin")
        ca.issue(
            "kube-apiserver", dns_names=APISERVER_NAMES, ip_addresses=APISERVER_ADDRESSES, usage=Usage.SERVER
        ).write(directory, "apiserver")
        write_signing_keys(directory, "service-account")
        return credentials


def write_kubeconfig(path: Path, *, server: str, ca: Authority, client: Certificate) -> None:
    """Write a kubeconfig that holds its certificates itself, so that it can be copied; only we can read it."""
    user = {
        "client-certificate-data": _embedded(client.certificate_pem),
        "client-key-data": _embedded(client.key_pem),
    }
    _write_kubeconfig(path, server, ca, user)


def write_token_kubeconfig(path: Path, *, server: str, ca: Authority, token: str) -> None:
    """Write a kubeconfig of whose token it is, that can be copied; only we can read it."""
    _write_kubeconfig(path, server, ca, {"token": token})


def _write_kubeconfig(path: Path, server: str, ca: Authority, user: dict[str, str]) -> None:
    cluster = {"server": server, "certificate-authority-data": _embedded(ca.certificate_pem)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "controlplane", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "controlplane", "context": {"cluster": "controlplane", "user": "user"}}],
        "current-context": "controlplane",
    }
    write_private(path, yaml.safe_dump(config, sort_keys=False).encode())


def _embedded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
