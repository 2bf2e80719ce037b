"""Tokens, certificates and CAs that are swapped while the proxy serves, and connections that end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import BadGatewayError, ExternalMetricInfo, ServiceUnavailableError
from metrics_apiserver_providers.proxy import ProxyProvider
from tests.controlplane.certificates import Authority
from tests.providers.proxy.conftest import MakeProxy, read_context
from tests.providers.proxy.other import OtherServer, external_list, issue, reply

GOOD = reply(200, external_list())


def read(proxy: ProxyProvider) -> None:
    assert not proxy.get_external_metric(read_context(), "shop", selectors.EVERYTHING, ExternalMetricInfo("queue"))


def test_token_is_read_for_every_request(make_proxy: MakeProxy, other: OtherServer, tmp_path: Path) -> None:
    """Also on a connection that is kept."""
    other.answer = GOOD
    token = tmp_path / "token"
    proxy = make_proxy(tokenFile=str(token))
    for value in ("first", "second\n"):
        token.write_text(value)
        read(proxy)
    assert [request.values("Authorization") for request in other.requests] == [["Bearer first"], ["Bearer second"]]
    assert other.connections == 1


def test_no_token_is_shown_where_none_is_meant(make_proxy: MakeProxy, other: OtherServer) -> None:
    """The pod's own goes to nobody who is not to have it."""
    other.answer = GOOD
    read(make_proxy(tokenFile=""))
    assert other.requests[0].values("Authorization") == []


def test_new_ca_counts_for_new_connections(make_proxy: MakeProxy, other: OtherServer, tmp_path: Path) -> None:
    """The other server gets a certificate of a new authority: refused first, then trusted, without a restart."""
    other.answer = GOOD
    proxy = make_proxy()
    read(proxy)
    new = Authority("the new authority")
    other.serve_as(issue(new))
    other.break_off()
    with pytest.raises(ServiceUnavailableError, check=lambda error: "its certificate is refused" in error.cause):
        read(proxy)
    (tmp_path / "ca.crt").write_bytes(new.certificate_pem)
    read(proxy)
    assert len(other.requests) == 2


def test_old_ca_is_trusted_no_longer_even_on_a_kept_connection(
    make_proxy: MakeProxy, other: OtherServer, tmp_path: Path
) -> None:
    """A CA that was taken out of the file no longer vouches for anybody."""
    other.answer = GOOD
    proxy = make_proxy()
    read(proxy)
    (tmp_path / "ca.crt").write_bytes(Authority("another").certificate_pem)
    with pytest.raises(ServiceUnavailableError, check=lambda error: "its certificate is refused" in error.cause):
        read(proxy)


def test_file_that_was_swapped_for_a_wrong_one_changes_nothing(
    make_proxy: MakeProxy, other: OtherServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good one stays, and the log has it once."""
    other.answer = GOOD
    proxy = make_proxy()
    read(proxy)
    (tmp_path / "ca.crt").write_bytes(b"half a certif")
    read(proxy)
    read(proxy)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("its TLS files cannot be used: ")
    assert line.endswith("; the last good ones stay")


def test_client_certificate_is_shown_and_followed(
    make_proxy: MakeProxy, other: OtherServer, authority: Authority, tmp_path: Path
) -> None:
    """A new pair is shown on new connections, which it brings about."""
    other.answer = GOOD
    first = authority.issue("first").write(tmp_path, "client")
    proxy = make_proxy(clientCertFile=str(first[0]), clientKeyFile=str(first[1]))
    read(proxy)
    authority.issue("second").write(tmp_path, "client")
    read(proxy)
    assert [request.client for request in other.requests] == ["first", "second"]
    assert all(request.values("Authorization") == [] for request in other.requests)


def test_connection_that_was_closed_meanwhile_is_replaced(proxy: ProxyProvider, other: OtherServer) -> None:
    """The server ends idle connections when it likes to."""
    other.answer = GOOD
    read(proxy)
    other.break_off()
    read(proxy)
    assert (len(other.requests), other.connections) == (2, 2)


def closing_after(count: int) -> Callable[[Any, Any], bool]:
    """Answer so many requests of each connection, and close it at the next."""

    def answer(connection: Any, request: Any) -> bool:
        seen[request.connection] = seen.get(request.connection, 0) + 1
        return seen[request.connection] <= count and GOOD(connection, request)

    seen: dict[int, int] = {}
    return answer


def test_kept_connection_that_closes_at_the_request_is_repeated_once(proxy: ProxyProvider, other: OtherServer) -> None:
    """The request and the server's close cross on the way."""
    other.answer = closing_after(1)
    read(proxy)
    read(proxy)
    assert [request.connection for request in other.requests] == [1, 1, 2]


def test_new_connection_that_closes_at_the_request_is_not_repeated(proxy: ProxyProvider, other: OtherServer) -> None:
    """It was not the age of the connection."""
    other.answer = closing_after(0)
    with pytest.raises(BadGatewayError, check=lambda error: "Remote end closed connection" in error.cause):
        read(proxy)
    assert len(other.requests) == 1


def test_server_that_comes_back_answers_the_next_read(proxy: ProxyProvider, other: OtherServer) -> None:
    """Nothing is remembered of its absence."""
    other.answer = GOOD
    read(proxy)
    other.break_off()
    other.answer = closing_after(0)
    with pytest.raises(BadGatewayError):
        read(proxy)
    other.answer = GOOD
    read(proxy)
