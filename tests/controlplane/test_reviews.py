"""What a real kube-apiserver says to our reviews, and of the ConfigMap, with the rights that our server has."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from metrics_apiserver.kube.authentication_config import AuthenticationConfigMap
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.config import load_client
from metrics_apiserver.kube.reviews import ReviewedUser, SubjectAccessReviews, TokenReviews
from tests.controlplane.account import account_kubeconfig, account_token, create_account
from tests.controlplane.credentials import write_token_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until

SPACE, USER = "reviews", "reviewed"
NAME = f"system:serviceaccount:{SPACE}:{USER}"
CONFIG_MAP, PREFIXES = "configmap/extension-apiserver-authentication", "requestheader-extra-headers-prefix"
DISCOVERY = {"nonResourceAttributes": {"path": "/apis", "verb": "get"}}


@pytest.fixture(name="client")
def _client(control_plane: ControlPlane, tmp_path: Path) -> Iterator[ClusterClient]:
    """Our server's own account."""
    client = ClusterClient(load_client(str(account_kubeconfig(control_plane, tmp_path))))
    yield client
    client.close()


@pytest.fixture(name="tokens", scope="module")
def _tokens(control_plane: ControlPlane) -> Mapping[str, str]:
    """The tokens of another account, by their audience; that of "" is the cluster's."""
    create_account(control_plane, USER, namespace=SPACE)
    metrics = ("create", "token", USER, f"--namespace={SPACE}", "--audience=metrics", "--audience=other")
    return {
        "": account_token(control_plane, USER, namespace=SPACE),
        "metrics": control_plane.kubectl(*metrics).stdout.strip(),
    }


@pytest.mark.parametrize(
    ("token_for", "audiences", "known"),
    [
        pytest.param("", [], True, id="the cluster's token"),
        pytest.param("metrics", ["metrics"], True, id="a token for our audience"),
        pytest.param("metrics", ["x", "other"], True, id="a token for one of our audiences"),
        pytest.param("metrics", [], False, id="a token for another audience than the cluster's"),
        pytest.param("", ["metrics"], False, id="the cluster's token is not for our audience"),
    ],
)
def test_a_token_counts_for_its_audiences(
    client: ClusterClient, tokens: Mapping[str, str], token_for: str, audiences: list[str], known: bool
) -> None:
    user = TokenReviews(client).review(tokens[token_for], audiences)
    if not known:
        assert user is None
        return
    assert isinstance(user, ReviewedUser)
    assert user.name == NAME
    assert user.groups == ("system:serviceaccounts", f"system:serviceaccounts:{SPACE}", "system:authenticated")
    assert user.uid
    assert set(user.extra) == {"authentication.kubernetes.io/credential-id"}


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "\u00e4", "\x00"])
def test_a_bad_token_is_nobodys(client: ClusterClient, token: str) -> None:
    assert TokenReviews(client).review(token, []) is None


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        pytest.param({"user": "carol", "groups": ["system:authenticated"], **DISCOVERY}, True, id="a user of a group"),
        pytest.param({"user": "carol", **DISCOVERY}, False, id="the same user without it"),
        pytest.param({"user": "carol", "groups": ["system:masters"], **DISCOVERY}, True, id="a master"),
    ],
)
def test_an_access_is_allowed_or_not(client: ClusterClient, spec: Mapping[str, object], allowed: bool) -> None:
    review = SubjectAccessReviews(client).review(spec)
    assert (review.allowed, review.denied) == (allowed, False)


def test_what_is_no_request_is_an_error_with_the_clusters_words(client: ClusterClient) -> None:
    with pytest.raises(ClusterError, match="exactly one of nonResourceAttributes or resourceAttributes") as caught:
        SubjectAccessReviews(client).review({"user": "carol"})
    assert caught.value.status == 422


def test_without_the_rights_the_cluster_says_what_is_missing(
    control_plane: ControlPlane, tokens: Mapping[str, str], tmp_path: Path
) -> None:
    """The usual mistake of an installation: nobody bound system:auth-delegator, or the reader of the ConfigMap."""
    path = tmp_path / "kubeconfig"
    write_token_kubeconfig(path, server=control_plane.url, ca=control_plane.ca, token=tokens[""])
    client = ClusterClient(load_client(str(path)))
    with pytest.raises(ClusterError, match=f'User "{NAME}" cannot create resource "tokenreviews"'):
        TokenReviews(client).review("x", [])
    with pytest.raises(ClusterError, match=f'User "{NAME}" cannot create resource "subjectaccessreviews"'):
        SubjectAccessReviews(client).review({"user": "carol", **DISCOVERY})
    config = AuthenticationConfigMap(client, on_change=dict, logger=logging.getLogger("tests.config"))
    config.start()
    wait_until(lambda: f'User "{NAME}" cannot list resource "configmaps"' in str(config.problem), 10, "no problem")
    assert config.data is None
    config.stop()
    client.close()


def test_the_config_map_is_read_and_followed_with_its_own_role(
    control_plane: ControlPlane, client: ClusterClient
) -> None:
    """A change is told as it happens, and so is the way back."""
    changes: list[Mapping[str, str]] = []
    config = AuthenticationConfigMap(client, on_change=changes.append, logger=logging.getLogger("tests.config"))
    config.start()
    wait_until(lambda: config.problem is None, 10, lambda: str(config.problem))
    assert config.data is not None
    assert config.data["client-ca-file"] == control_plane.ca.certificate_pem.decode()
    assert config.data["requestheader-allowed-names"] == '["front-proxy-client"]'
    prefixes = config.data[PREFIXES]
    # What kube-apiserver does not ask for it leaves.
    for value in ('["X-Remote-Extra-","X-Other-"]', prefixes):
        patch = json.dumps({"data": {PREFIXES: value}})
        control_plane.kubectl("patch", CONFIG_MAP, "--namespace=kube-system", f"--patch={patch}")
        wait_until(lambda value=value: changes[-1][PREFIXES] == value, 10, lambda: f"{changes}")
    assert len(changes) == 3
    assert changes[0] == changes[2]
    config.stop()
