"""Whom the proxy believes, and what it shows of itself: a certificate, a CA or a token that is wrong is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import ExternalMetricInfo, ServiceUnavailableError
from metrics_apiserver_providers.proxy import ProxyProvider
from tests.providers.proxy.conftest import MakeProxy, read_context
from tests.providers.proxy.other import OtherServer, external_list, reply


def read(proxy: ProxyProvider) -> Any:
    return proxy.get_external_metric(read_context(), "shop", selectors.EVERYTHING, ExternalMetricInfo("queue"))


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        pytest.param(
            {"caFile": None},
            "self-signed certificate in certificate chain",
            id="the system's authorities, without a file",
        ),
        pytest.param(
            {"serverName": "keda.keda.svc"},
            "Hostname mismatch, certificate is not valid for 'keda.keda.svc'.",
            id="another name than the certificate's",
        ),
    ],
)
def test_certificate_is_verified(
    options: dict[str, Any], cause: str, make_proxy: MakeProxy, other: OtherServer
) -> None:
    """There is no option that leaves it out."""
    proxy = make_proxy(**options)
    with pytest.raises(
        ServiceUnavailableError, check=lambda error: f"its certificate is refused: {cause}" in error.cause
    ):
        read(proxy)
    assert other.requests == []


def test_name_of_the_certificate_may_be_another(make_proxy: MakeProxy, other: OtherServer) -> None:
    """`serverName` is what is verified, and what is asked for."""
    proxy = make_proxy(url=f"https://127.0.0.1:{other.port}", serverName="localhost")
    other.answer = reply(200, external_list())
    assert not read(proxy)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        pytest.param(None, "there is no file", id="no file"),
        pytest.param("", "", id="an empty file"),
        pytest.param("nonsense", "", id="no certificate"),
    ],
)
def test_ca_file_that_cannot_be_read_is_named(
    content: str | None, cause: str, make_proxy: MakeProxy, tmp_path: Path
) -> None:
    """Reads fail with a sentence, and the server runs on: the file may come."""
    file = tmp_path / "later.crt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ServiceUnavailableError, match=r"provider keda: its TLS files cannot be used\Z") as caught:
        read(make_proxy(caFile=str(file)))
    assert re.match(cause, caught.value.cause)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "its token cannot be read: FILE: No such file or directory", id="no file"),
        pytest.param(b"", "its token cannot be sent: FILE does not hold one", id="an empty file"),
        pytest.param(b"secret\r\nX-Evil: 1", "its token cannot be sent: FILE does not hold one", id="several lines"),
        pytest.param("g\u00e9heim".encode(), "its token cannot be read: FILE: not ASCII", id="letters of a language"),
    ],
)
def test_token_that_cannot_be_sent_is_named_and_not_quoted(
    content: bytes | None, sentence: str, make_proxy: MakeProxy, other: OtherServer, tmp_path: Path
) -> None:
    """Neither in the sentence nor in what it is chained to."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ServiceUnavailableError) as caught:
        read(make_proxy(tokenFile=str(file)))
    assert caught.value.whole == "provider keda: " + sentence.replace("FILE", str(file))
    assert str(file) not in caught.value.message
    assert caught.value.__cause__.__cause__ is None  # type: ignore[union-attr]
    assert other.requests == []
