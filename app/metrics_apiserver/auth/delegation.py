"""Delegated authentication and authorization as one thing: what it is made of, and what of it runs."""

from __future__ import annotations

import logging

from metrics_apiserver.auth.authenticator import Authenticator
from metrics_apiserver.auth.authorizer import Authorizer
from metrics_apiserver.auth.bearer_token import BearerTokens
from metrics_apiserver.auth.client_cas import ClientCAs
from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.files import FileFollower
from metrics_apiserver.kube.authentication_config import CONFIG_MAP, AuthenticationConfigMap
from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.reviews import SubjectAccessReviews, TokenReviews
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.settings import AuthenticationSettings, AuthorizationSettings
from metrics_apiserver.staleness import Following

__all__ = ["Delegation"]


class Delegation:
    """Who asks and may they, as a cluster says; nothing runs before `start`.

    `client` reads the ConfigMap of the client CAs and reviews tokens, `access_client` reviews access; it closes both.
    `following` is told how following the CAs goes.
    """

    def __init__(
        self,
        authentication: AuthenticationSettings,
        authorization: AuthorizationSettings,
        *,
        client: ClusterClient,
        access_client: ClusterClient,
        clock: Clock,
        logger: logging.Logger,
        following: Following | None = None,
    ) -> None:
        following = following or Following(clock.monotonic, logger)
        self.waiting = Waiting()
        self._clients = {client, access_client}
        self._tolerant = authentication.authentication_tolerate_lookup_failure
        self.cas = ClientCAs(authentication, logger)
        self._files = FileFollower(
            self.cas.files,
            self.cas.read_files,
            logger,
            name="client-ca-files",
            followed=following.follow("the client CA files") if self.cas.files else None,
        )
        self._config_map = (
            AuthenticationConfigMap(
                client,
                on_change=self.cas.use_config_map,
                logger=logger,
                followed=following.follow(f"the ConfigMap {CONFIG_MAP}"),
            )
            if self.cas.from_cluster
            else None
        )
        bearer_tokens = BearerTokens(
            TokenReviews(client),
            audiences=authentication.api_audiences,
            monotonic=clock.monotonic,
            waiting=self.waiting,
        )
        self.authenticator = Authenticator(self.cas, bearer_tokens, unknown=self.check, now=clock.now)
        self.authorizer = Authorizer(
            SubjectAccessReviews(access_client),
            always_allow_paths=authorization.authorization_always_allow_paths,
            monotonic=clock.monotonic,
            waiting=self.waiting,
        )

    def start(self) -> None:
        """Read the CAs, and follow them in the background; once."""
        self.cas.read_files()
        self._files.start()
        if self._config_map is not None:
            self._config_map.start()

    def stop(self) -> None:
        """Stop following them, and close the connections."""
        self._files.stop()
        if self._config_map is not None:
            self._config_map.stop()
        for client in self._clients:
            client.close()

    def check(self) -> str | None:
        """Return why a client CA is not known yet; None when all are, or nobody waits for them."""
        if self._config_map is None or self._tolerant or self.cas.complete:
            return None
        return self._config_map.problem or "the CAs of client certificates are being taken over"
