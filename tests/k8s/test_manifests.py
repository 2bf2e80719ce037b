"""What the manifests say, as kubectl renders them; no cluster is asked."""

from __future__ import annotations

import base64
import configparser
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from metrics_apiserver import registry
from metrics_apiserver.cli import main
from metrics_apiserver.configuration import read, settings_from
from tests.k8s.checkout import Checkout, find, the
from tests.packaging.pages import ROOT

OVERLAYS = ("overlays/openssl", "overlays/cert-manager")
NAME = "metrics-apiserver.metrics-apiserver.svc"
API_SERVICES = {
    ("custom.metrics.k8s.io", "v1beta2"): 200,
    ("custom.metrics.k8s.io", "v1beta1"): 100,
    ("external.metrics.k8s.io", "v1beta1"): 100,
}


@pytest.fixture(name="pod", scope="module")
def _pod(checkout: Checkout) -> dict[str, Any]:
    deployment = the(checkout.render("base"), "Deployment")
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


@pytest.fixture(name="container", scope="module")
def _container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    found: dict[str, Any] = container
    return found


@pytest.mark.parametrize("name", ["base", *OVERLAYS])
def test_api_services_are_the_three_and_verify_the_server(checkout: Checkout, name: str) -> None:
    """The preferred version of the custom metrics is v1beta2; nothing is skipped; the port is the Service's."""
    objects = checkout.render(name)
    (port,) = the(objects, "Service")["spec"]["ports"]
    found = {}
    for item in find(objects, "APIService"):
        spec = item["spec"]
        assert item["metadata"]["name"] == f"{spec['version']}.{spec['group']}"
        assert "insecureSkipTLSVerify" not in spec
        assert spec["service"] == {"name": "metrics-apiserver", "namespace": "metrics-apiserver", "port": port["port"]}
        assert spec["groupPriorityMinimum"] == 100
        found[spec["group"], spec["version"]] = spec["versionPriority"]
    assert found == API_SERVICES


def test_certificate_of_the_page_is_the_secrets_and_its_authority_the_ca_bundle(checkout: Checkout) -> None:
    """One authority in the Secret and in all APIServices; the authority's key is in neither."""
    objects = checkout.render("overlays/openssl")
    folder = checkout.folder / "k8s" / "overlays" / "openssl"
    secret = the(objects, "Secret", "metrics-apiserver-serving-certs")
    decoded = {name: base64.b64decode(value) for name, value in secret["data"].items()}
    assert decoded == {name: (folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key")}
    for item in find(objects, "APIService"):
        assert base64.b64decode(item["spec"]["caBundle"]) == decoded["ca.crt"]
    store = Store(x509.load_pem_x509_certificates(decoded["ca.crt"]))
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(NAME))
    assert len(verifier.verify(x509.load_pem_x509_certificate(decoded["tls.crt"]), [])) == 2


def test_injector_has_the_field_to_itself(checkout: Checkout) -> None:
    """With cert-manager no apply empties the caBundle, and the Secret it comes from is the one that is mounted."""
    objects = checkout.render("overlays/cert-manager")
    for item in find(objects, "APIService"):
        assert "caBundle" not in item["spec"]
        annotations = item["metadata"]["annotations"]
        assert annotations == {"cert-manager.io/inject-ca-from": "metrics-apiserver/metrics-apiserver-serving-certs"}
    certificate = the(objects, "Certificate", "metrics-apiserver-serving-certs")
    assert certificate["spec"]["secretName"] == "metrics-apiserver-serving-certs"
    assert certificate["spec"]["dnsNames"] == [NAME]


@pytest.mark.parametrize("name", OVERLAYS)
def test_image_has_the_version_of_the_distribution(checkout: Checkout, name: str) -> None:
    """As setup.cfg says it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    (container,) = the(checkout.render(name), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.com/metrics-apiserver:{setup['metadata']['version']}"


def test_every_argument_is_known_to_the_command(
    container: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line is parsed as the container's is, up to the point where it becomes gunicorn."""
    became: list[dict[str, str]] = []
    monkeypatch.setattr("os.execve", lambda _program, _command, environ: became.append(environ))
    main(["serve", *container["args"]])
    (environ,) = became
    assert environ["METRICS_APISERVER_BIND_ADDRESS"] == "$(POD_IP)"
    (port,) = container["ports"]
    assert int(environ["METRICS_APISERVER_SECURE_PORT"]) == port["containerPort"]
    assert environ["METRICS_APISERVER_V"] == "2"


def test_configuration_names_providers_that_are_installed(checkout: Checkout, tmp_path: Path) -> None:
    """And is where the Deployment says, in a ConfigMap whose name changes with it."""
    objects = checkout.render("base")
    (config_map,) = find(objects, "ConfigMap")
    pod = the(objects, "Deployment")["spec"]["template"]["spec"]
    assert {"configMap": {"name": config_map["metadata"]["name"]}, "name": "config"} in pod["volumes"]
    assert config_map["metadata"]["name"].startswith("metrics-apiserver-config-")
    config = tmp_path / "config.yaml"
    config.write_text(config_map["data"]["config.yaml"], encoding="utf-8")
    settings, problems = read({"METRICS_APISERVER_CONFIG": str(config)})
    assert problems + registry.check(settings.providers) == []
    # One process's memory: two replicas would give two answers.
    assert {provider.kind for provider in settings.providers}.isdisjoint({"writable", "sample"})


def test_stop_has_the_time_it_needs(pod: dict[str, Any], container: dict[str, Any], tmp_path: Path) -> None:
    """The kubelet kills later than gunicorn does, whose graceful timeout has the delay in it."""
    (delay,) = (argument for argument in container["args"] if argument.startswith("--shutdown-delay-duration="))

    def graceful_timeout(delay: str) -> int:
        environ = {"PATH": os.environ["PATH"], "METRICS_APISERVER_SHUTDOWN_DELAY_DURATION": delay}
        printing = "from metrics_apiserver.serving import config; print(config.graceful_timeout)"
        command = [sys.executable, "-P", "-c", printing]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    needed = graceful_timeout(delay.partition("=")[2])
    assert needed > graceful_timeout("0s")
    assert pod["terminationGracePeriodSeconds"] >= needed + 5


@pytest.mark.parametrize(
    "variable", ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT", "PORT_443_TCP", "PORT_443_TCP_ADDR"]
)
def test_kubelets_variables_are_no_settings(checkout: Checkout, pod: dict[str, Any], variable: str) -> None:
    """The Service has the name of our variables' prefix; ours asks for no links, others may."""
    name = the(checkout.render("base"), "Service")["metadata"]["name"].upper().replace("-", "_")
    assert pod["enableServiceLinks"] is False
    settings_from({f"{name}_{variable}": "tcp://10.0.0.1:443"})


def test_probes_ask_what_they_mean(container: dict[str, Any]) -> None:
    """Alive is not ready: a restart mends no cluster that is away."""
    probes = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {get["path"] for kind, get in probes.items() if kind != "readinessProbe"} == {"/livez"}
    assert probes["readinessProbe"]["path"] == "/readyz"
    assert {(get["scheme"], get["port"]) for get in probes.values()} == {("HTTPS", "https")}


def test_container_can_change_nothing(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Every mount is read-only, and there is no other one; what is more, the API server holds it to `restricted`."""
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["readOnly"] for mount in container["volumeMounts"]} == {True}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert isinstance(pod["securityContext"]["runAsUser"], int)


def test_names_of_labels_belong_together(checkout: Checkout) -> None:
    """Service, budget, policy and Deployment mean the same pods."""
    name = checkout.overlay("with-a-policy", resources=["../../base"], components=["../../components/network-policy"])
    objects = checkout.render(name)
    deployment = the(objects, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        the(objects, "Service")["spec"]["selector"],
        the(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        deployment["selector"]["matchLabels"],
        spread["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector == {"app.kubernetes.io/name": "metrics-apiserver"}
        assert selector.items() <= labels.items()


def test_nobody_is_anonymous_or_an_admin_here() -> None:
    """No manifest names the anonymous user or group, or a role that may do everything."""
    for path in (ROOT / "k8s").rglob("*.yaml"):
        for item in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if isinstance(item, dict) and item.get("kind", "").endswith("Binding"):
                assert item["roleRef"]["name"] != "cluster-admin"
                assert {subject["kind"] for subject in item["subjects"]} == {"ServiceAccount"}
