"""The command lines of the three programs: every flag that the control plane needs, and where its files are."""

from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.build import Binaries

__all__ = ["AUDIT_POLICY", "Layout", "apiserver_command", "controller_manager_command", "etcd_command"]

CONTROLLERS = (
    "horizontal-pod-autoscaler-controller",
    "deployment-controller",
    "replicaset-controller",
    "garbage-collector-controller",
    "namespace-controller",
)
# Every request once, when it is answered; a watch also when it begins (stage ResponseStarted).
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


@dataclass(frozen=True)
class Layout:
    """The folder and the ports of one run."""

    directory: Path
    etcd_port: int
    etcd_peer_port: int
    apiserver_port: int

    @property
    def certificates(self) -> Path:
        """The folder of certificates and keys."""
        return self.directory / "certificates"

    @property
    def audit_policy(self) -> Path:
        """What the apiserver records."""
        return self.directory / "audit-policy.yaml"

    @property
    def controller_manager_kubeconfig(self) -> Path:
        """How the controller manager reaches the apiserver."""
        return self.directory / "kube-controller-manager.kubeconfig"

    @property
    def etcd_url(self) -> str:
        """Plain HTTP: etcd listens on loopback only, and holds nothing but test data."""
        return f"http://127.0.0.1:{self.etcd_port}"

    @property
    def url(self) -> str:
        """Where the apiserver answers."""
        return f"https://127.0.0.1:{self.apiserver_port}"


def etcd_command(binaries: Binaries, layout: Layout) -> list[str]:
    """Give etcd's command line: one member, which does not wait for the disk."""
    peer_url = f"http://127.0.0.1:{layout.etcd_peer_port}"
    return [
        str(binaries.etcd),
        f"--data-dir={layout.directory / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={layout.etcd_url}",
        f"--advertise-client-urls={layout.etcd_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
    ]


def apiserver_command(binaries: Binaries, layout: Layout) -> list[str]:
    """Give the apiserver's command line."""
    certificates = layout.certificates
    return [
        str(binaries.apiserver),
        f"--etcd-servers={layout.etcd_url}",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.apiserver_port}",
        # Loopback cannot be an endpoint of the Service `kubernetes`, which nobody needs here.
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={certificates}",
        f"--tls-cert-file={certificates / 'apiserver.crt'}",
        f"--tls-private-key-file={certificates / 'apiserver.key'}",
        f"--client-ca-file={certificates / 'ca.crt'}",
        f"--service-account-key-file={certificates / 'service-account.pub'}",
        f"--service-account-signing-key-file={certificates / 'service-account.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--requestheader-client-ca-file={certificates / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificates / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={certificates / 'front-proxy-client.key'}",
        "--authorization-mode=RBAC",
        # No controller makes the service accounts that it would ask for.
        "--disable-admission-plugins=ServiceAccount",
        "--service-cluster-ip-range=10.0.0.0/24",
        # The default, named as it matters: a Service of type ExternalName is then reached by its name.
        "--enable-aggregator-routing=false",
        # Without a grace period a watch over HTTP/1.1, such as the kubelet's, holds up a restart for a minute.
        "--shutdown-watch-termination-grace-period=1s",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.directory / 'audit.log'}",
    ]


def controller_manager_command(binaries: Binaries, layout: Layout) -> list[str]:
    """Give the controller manager's command line."""
    return [
        str(binaries.controller_manager),
        f"--kubeconfig={layout.controller_manager_kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        # Without it the HPA controller is forbidden to read metrics.
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--horizontal-pod-autoscaler-sync-period=2s",
        "--secure-port=0",
    ]
