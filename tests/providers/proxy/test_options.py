"""The options of the proxy, as they are checked before the server starts."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from metrics_apiserver_providers.proxy import ProxyProvider

NO_URL = {"url": ["Not the address of a server: write it as https://service.namespace.svc:443."]}
PAIR = {"clientCertFile": "c", "clientKeyFile": "k"}


def load(**options: Any) -> Any:
    return ProxyProvider.Options().load(options)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://keda.keda.svc:443", id="a Service"),
        pytest.param("https://keda.keda.svc", id="without a port"),
        pytest.param("https://10.0.0.1:6443/", id="an address"),
        pytest.param("https://[fd00::1]:6443", id="an IPv6 address"),
    ],
)
def test_address_of_a_server_is_taken(url: str) -> None:
    """With its port or without."""
    assert load(url=url)["url"] == url


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        pytest.param({}, {"url": ["Missing data for required field."]}, id="no address"),
        pytest.param({"url": "http://keda:80"}, NO_URL, id="without TLS"),
        pytest.param({"url": "keda:443"}, NO_URL, id="without a scheme"),
        pytest.param({"url": "https://"}, NO_URL, id="without a host"),
        pytest.param({"url": "https://keda/apis"}, NO_URL, id="with a path"),
        pytest.param({"url": "https://keda/?a=b"}, NO_URL, id="with a query"),
        pytest.param({"url": "https://user:password@keda"}, NO_URL, id="with a password"),
        pytest.param({"url": "https://keda:port"}, NO_URL, id="with a port that is none"),
        pytest.param({"url": "https://keda", "apis": []}, {"apis": ["Shorter than minimum length 1."]}, id="no API"),
        pytest.param(
            {"url": "https://keda", "apis": ["resource"]},
            {"apis": {0: ["Must be one of: custom, external."]}},
            id="an API that is not ours",
        ),
        pytest.param(
            {"url": "https://keda", "clientCertFile": "c"},
            {"_schema": ["clientCertFile and clientKeyFile belong together"]},
            id="half a pair",
        ),
        pytest.param(
            {"url": "https://keda", "forwardUser": True},
            {"_schema": ["forwardUser needs clientCertFile: nobody takes a user's name from a stranger"]},
            id="a front proxy that nobody knows",
        ),
        pytest.param(
            {"url": "https://keda", "forwardUser": True, **PAIR, "tokenFile": "t"},
            {"_schema": ["forwardUser names the user who asks, and tokenFile another one"]},
            id="two users",
        ),
        pytest.param({"url": "https://keda", "insecure": True}, {"insecure": ["Unknown field."]}, id="no verification"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], problem: dict[str, Any]) -> None:
    """Each with what to write instead."""
    with pytest.raises(ValidationError) as caught:
        load(**options)
    assert caught.value.messages == problem
