"""What lets somebody in is in no line, wherever a client puts it and however it is written; what is asked for is."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from metrics_apiserver import logs
from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app
from metrics_apiserver.logs import hide_secrets, shown_body, shown_headers, shown_target
from metrics_apiserver.server import MetricsServer
from tests.conformance.recorded import CLUSTER_YAML
from tests.conftest import asker, environ

READ = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric"
WRITE = "/write-metrics/namespaces/shop/pods/cart-1/m"
# So much of a secret is one.
PART = 8
NAMES = [
    *("token", "access_token", "%74oken", "to%6Ben", "%2574oken", "TOKEN", "key", "api-key", "pwd", "pass", "password"),
    *("p", "X-Amz-Signature", "code", "sid", "auth", "a%5Btoken%5D", "+token", "%C3%A9", "labelselector", "pretty%20"),
]
Asked = tuple[str, dict[str, str], bytes]


def target(form: str, name: str) -> Callable[[str], Asked]:
    return lambda secret: (form.replace("NAME", name).replace("SECRET", quote(secret, safe="")), {}, b"")


def userinfo(form: str) -> Callable[[str], Asked]:
    return lambda secret: (form.replace("SECRET", quote(secret, safe="+=")), {}, b"")


def field(name: str, form: str) -> Callable[[str], Asked]:
    return lambda secret: (READ, {name: form.replace("SECRET", secret)}, b"")


def body(form: str, encoding: str = "utf-8") -> Callable[[str], Asked]:
    return lambda secret: (WRITE, {}, form.replace("SECRET", secret).encode(encoding))


def named(secret: str) -> str:
    """As the name of a header field, which WSGI has in capitals."""
    return "".join(each if each.isalnum() else "-" for each in secret)


FORMS = [
    *(f"{READ}?NAME=SECRET", f"{READ}?NAME=SECRET&NAME=SECRET", f"{READ}?labelSelector=a&NAME=SECRET"),
    *(f"{READ}?NAME=a;NAME=SECRET", f"{READ};NAME=SECRET", f"{READ};NAME=SECRET?x", f"{READ}#NAME=SECRET"),
    *(
        f"{READ}?labelSelector=a#NAME=SECRET",
        f"{READ}?NAME%3DSECRET",
        f"{READ}?NAME%3d=SECRET",
        f"{READ}?a%26NAME=SECRET",
    ),
    *(f"{READ}?labelSelector=a%26NAME%3DSECRET", f"{READ}%3FNAME=SECRET", f"{READ}%3fNAME%3dSECRET"),
    *(f"{READ}%253FNAME%253DSECRET", "/livez?NAME=SECRET", f"{READ}?labelSelector=a?NAME=SECRET"),
    *(f"{READ}?a={{'NAME':'SECRET'}}", f"{READ}?&&&NAME==SECRET", "/no/such;NAME=SECRET/x"),
]
WITHOUT_NAMES = [
    *(f"{READ}?SECRET", f"{READ}?SECRET=", f"{READ}?a=b&SECRET", "/no/such;SECRET", f"{READ}?SECRET&x=1"),
]
USERINFO = [
    *("https://user:SECRET@host/x", "//user:SECRET@host/x", "//SECRET@host/x", "///user:SECRET@host", "/SECRET@host"),
    *("//user:SECRET%40host/x", "https://user:SECRET%2540host/x", "https:/user:SECRET@host", "/\\user:SECRET@host/"),
    *("user:SECRET@host:443", "a:user:SECRET@host", f"//user:SECRET@host{READ}?labelSelector=a", "//u:a/SECRET@host"),
    *(
        "/x?next=https://user:SECRET@host",
        "/x?labelSelector=//user:SECRET@host",
        "//u:SECRET@a@host",
        "//u@SECRET@host",
    ),
]
FIELDS = [
    *(
        ("Authorization", f"{scheme} SECRET")
        for scheme in ("Bearer", "bEaReR", "Basic", "Digest", "Negotiate", "Other")
    ),
    *(("Authorization", "SECRET"), ("Authorization", 'Digest username="a", response="SECRET"')),
    *(("Proxy-Authorization", "Basic SECRET"), ("Cookie", "a=SECRET"), ("X-Auth", "SECRET"), ("X-Api-Key", "SECRET")),
    *(("Private-Token", "SECRET"), ("X-A", "SECRET"), ("Referer", "https://h/?key=SECRET"), ("Host", "user:SECRET@h")),
    *(
        ("X-Remote-Extra-A", "SECRET"),
        ("Impersonate-Extra-A", "SECRET"),
        ("Forwarded", "for=SECRET"),
        ("From", "SECRET"),
    ),
    *(("User-Agent", "curl Authorization: Basic SECRET"), ("User-Agent", "x https://u:SECRET@host/")),
    *(("Via", "Basic SECRET"), ("Sec-Websocket-Protocol", "base64url.bearer.authorization.k8s.io.SECRET, x")),
]
# Of a user agent, say: fields that are shown, unless there is something in them.
FIELDS += [
    (name, form)
    for name in ("User-Agent", "Accept", "Via", "X-Forwarded-For", "Keep-Alive")
    for form in (
        *("token=SECRET", "password: SECRET", "api_key=SECRET", 'a/1 ("password" : "SECRET")', "1.1 u:SECRET@x"),
        *("%62asic%20SECRET", "1.1 u:SECRET%40x", "a?x=1&client_secret=SECRET", "%2574oken%253DSECRET"),
    )
]
CUSTOM_READ = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/m"
# What is read, and what it is answered, quote a selector too: where it is one, and where it is none.
SELECTORS = [
    f"{path}?{parameter}={form.replace('KEY', key)}"
    for path in (READ, CUSTOM_READ)
    for parameter in ("labelSelector", "metricLabelSelector", "fieldSelector")
    for key in ("password", "x.io/api_key", "passphrase")
    for form in (
        *("KEY%3DSECRET", "(KEY%3DSECRET)", "%28KEY%3DSECRET", "!%20(KEY%3DSECRET", "a%3Db,KEY+in+(c,SECRET)"),
        *("KEY%3ESECRET", "KEY%3DSECRET!!", "KEY%3D%3DSECRET%20SECRET", "KEY%21%3DSECRET", "-KEY%3DSECRET"),
        "KEY+in+(SECRET!)",
    )
]
ENCODED = [
    *("/%62asic%20SECRET", "/%2562earer%2520SECRET", "/x%2525253Ftoken%2525253DSECRET", "/u:SECRET%25252540h/"),
    *("/x%2525252525253Ftoken%3DSECRET", f"{READ}?labelSelector=%2525252570assword%3DSECRET"),
]
WRITTEN = f"{WRITE}?labels=password%3DSECRET!!"
BODIES = [
    *(
        '{"token": "SECRET"}',
        '{"pwd":"SECRET"}',
        '{"key" : "SECRET"}',
        '{"auth": ["a", "SECRET"]}',
        '{"x": {"y": "SECRET"}}',
    ),
    *('{"\\u0074oken": "SECRET"}', '"SECRET"', "SECRET", "password=SECRET&a=b", "token: SECRET\n", '{"token": "SECRET'),
    *('{"a\\"token": "x", "b": "SECRET"}', "<token>SECRET</token>", "{\"token\": 'SECRET'}", '["token", "SECRET"]'),
    *("['SECRET']", "{'k':'SECRET'}", '{"SECRET": 1}', '{"value": "1", "SECRET": {"SECRET": 2}}'),
]
BODIES = {
    **{f"{form}, {name}": target(form, name) for form in FORMS for name in NAMES},
    **{f"without a name: {form}": userinfo(form) for form in WITHOUT_NAMES},
    **{f"userinfo: {form}": userinfo(form) for form in USERINFO},
    **{f"field: {name}: {form}": field(name, form) for name, form in FIELDS},
    **{f"body: {form}": body(form) for form in BODIES},
    **{f"selector: {form}": userinfo(form) for form in SELECTORS},
    **{f"encoded: {form}": userinfo(form) for form in ENCODED},
    "labels of a write": lambda secret: (WRITTEN.replace("SECRET", quote(secret, safe="")), {}, b'"1"'),
    "the name of a field": lambda secret: (READ, {f"Impersonate-Extra-{named(secret)}": "x", named(secret): "x"}, b""),
    "a selector, and YAML is wanted": lambda secret: (
        f"{READ}?labelSelector=password%3E{quote(secret, safe='')}",
        {"Accept": "application/yaml"},
        b"",
    ),
    "body: in two bytes a character": body('{"token": "SECRET"}', "utf-16"),
}


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[MetricsServer]:
    server = create_app(settings_from(environ(objects=str(CLUSTER_YAML), provider="writable")))
    server.start()
    yield server
    server.stop()


def logged(server: MetricsServer, asked: Asked, verbosity: int, *, as_json: bool) -> str:
    """Ask in a process whose log is set up so, and give what it says."""
    root = logging.getLogger()
    names = ["metrics_apiserver", "metrics_apiserver_providers", "urllib3.connectionpool"]
    before = root.level, list(root.handlers), [logging.getLogger(name).level for name in names]
    stream = io.StringIO()
    logs.configure(verbosity=verbosity, as_json=as_json, stream=stream)
    try:
        path, headers, content = asked
        method = "POST" if content else "GET"
        asker(Client(server, use_cookies=False))(method, path, {"X-Remote-User": "jane", **headers}, content)
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]
        for name, level in zip(names, before[2], strict=True):
            logging.getLogger(name).setLevel(level)
    return stream.getvalue()


def parts(secret: str) -> list[str]:
    """Whatever is enough of a secret to matter, also as a URL has it."""
    written = {secret, quote(secret, safe=""), secret.encode("unicode_escape").decode()}
    return [text[begin : begin + PART] for text in written for begin in range(len(text) - PART + 1)]


SECRETS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=", min_size=16, max_size=60
).filter(
    # What could be part of a line by chance: digits of the time, and words.
    lambda secret: sum(character.isdigit() for character in secret) < len(secret) // 2 and len(set(secret)) > PART
)
JWTS = SECRETS.map(lambda secret: f"eyJhbGciOiJSUzI1NiIs.{secret.replace('/', '_').replace('.', '-')}.c2lnbmF0dXJl")


@pytest.mark.parametrize("place", [pytest.param(made, id=name) for name, made in BODIES.items()])
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_secret_is_in_no_line_wherever_it_is_put(
    server: MetricsServer, place: Callable[[str], Asked], as_json: bool
) -> None:
    """At any verbosity; something is logged nevertheless."""
    secret = "s3cr3t-0paqu3.valu3~X"
    for verbosity in (2, 4, 6, 8, 10):
        text = logged(server, place(secret), verbosity, as_json=as_json)
        assert text or place(secret)[0].startswith("/livez")
        assert [part for part in parts(secret) if part in text] == []


@settings(max_examples=300, deadline=None)
@given(
    secret=st.one_of(SECRETS, JWTS),
    place=st.sampled_from(sorted(BODIES)),
    verbosity=st.sampled_from([2, 4, 6, 8, 10]),
    as_json=st.booleans(),
)
def test_no_secret_is_in_any_line(
    server: MetricsServer, secret: str, place: str, verbosity: int, as_json: bool
) -> None:
    """Of any text, in any of the places; what is there without it too is no part of it."""
    without = logged(server, BODIES[place]("Z" * len(secret)), verbosity, as_json=as_json)
    text = logged(server, BODIES[place](secret), verbosity, as_json=as_json)
    assert [part for part in parts(secret) if part in text and part not in without] == []


@pytest.mark.parametrize(
    "shown",
    [
        "/",
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/m?labelSelector=app%3Dweb%2Ctier%20in%20%28a,b%29",
        f"{READ}?labelSelector=app=web&pretty=true&timeoutSeconds=30",
        f"{READ}?labelSelector=app=session-store",
        f"{READ}?fieldSelector=metadata.name%3Dx&limit=500&watch=0&resourceVersion=12",
        "/readyz?verbose&exclude=shutdown&exclude=ping",
        "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2?hash=0AF3",
        "/apis/x%20y/%E2%82%AC",
    ],
)
def test_what_is_asked_for_is_shown_as_it_came(shown: str) -> None:
    """The parameters that are known are no secrets, nor is a path."""
    assert shown_target(shown) == shown


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        pytest.param("/x?access_token=a1&watch=0", "/x?access_token=<hidden>&watch=0", id="a known secret"),
        pytest.param("/x?labelselector=b", "/x?labelselector=<hidden>", id="a known parameter that is misspelt"),
        pytest.param("/x?colour=red&a1", "/x?<hidden>&<hidden>", id="what nobody knows"),
        pytest.param("https://u:p@h:1/x?pretty=1", "https://<hidden>@h:1/x?pretty=1", id="a password before a host"),
        pytest.param("/x;token=a1/y", "/x;token=<hidden>", id="a parameter within the path"),
        pytest.param("/x?labelSelector=token%3Da1", "/x?labelSelector=<hidden>", id="a label that is called token"),
        pytest.param("/x?labelSelector=a,token=b", "/x?labelSelector=<hidden>", id="such a label after another"),
        pytest.param("/x?labelSelector=Bearer%20a1", "/x?labelSelector=<hidden>", id="a token as a selector"),
        pytest.param("/x?fieldSelector=password!=a", "/x?fieldSelector=<hidden>", id="a field that is called password"),
        pytest.param("/x?labelSelector=token+in+(a)", "/x?labelSelector=<hidden>", id="one of several tokens"),
        pytest.param("/x?" + "&" * 5000, "/x?" + "&" * 64 + "<hidden>", id="more parameters than a request needs"),
    ],
)  # fmt: skip
def test_rest_is_hidden(target: str, shown: str) -> None:
    """And one can see that there was something."""
    assert shown_target(target) == shown


def test_header_fields_are_shown_by_a_list_of_harmless_ones() -> None:
    """Whatever they are called in; repeated ones are joined."""
    pairs = [("ACCEPT", "a"), ("Accept", "b"), ("ACCEPT", "c"), ("X-Auth", "d"), ("X-Remote-User", "jane")]
    assert shown_headers(pairs) == {"ACCEPT": "a, c", "Accept": "b", "X-Auth": "<hidden>", "X-Remote-User": "jane"}
    pairs = [("Token-abc", "d"), ("Impersonate-Extra-abc", "e"), ("Cookie", "f"), ("User-Agent", "kubectl/v1 (linux)")]
    assert shown_headers(pairs) == {"<hidden>": "<hidden>", "Cookie": "<hidden>", "User-Agent": "kubectl/v1 (linux)"}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('"500m"', '"500m"'),
        ("3.25", "3.25"),
        ('{"value": "64Mi", "unit": 1e3, "items": true}', '{"value": "64Mi", "unit": 1e3, "items": true}'),
        ('{"value": "1", "note": "abc def"}', '{"value": "1", "<hidden>": "<hidden>"}'),
        ('{"token": "12", "value": 1}', '{"<hidden>": "<hidden>", "value": 1}'),
        ('{"pwd": 1234}', '{"<hidden>": <hidden>}'),
        ("a b", "<hidden> <hidden>"),
        ('"' + "x" * 5000 + '"', '"<hidden>"… and 906 bytes more'),
    ],
)  # fmt: skip
def test_of_a_body_what_a_client_may_write_is_shown(written: str, shown: str) -> None:
    """Its structure, numbers and quantities."""
    assert shown_body(written.encode()) == shown


def test_of_our_own_answers_all_but_telling_members_is_shown() -> None:
    """A label may be called so."""
    answer = '{"items":[{"metricName":"m","value":"1","metricLabels":{"app":"web","api-key":"a\\"b"}}]}'
    assert shown_body(answer.encode(), ours=True) == answer.replace('"a\\"b"', '"<hidden>"')


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        pytest.param(
            r'{"kind":"Status","message":"values[0]: Invalid value: \"a\\\"b\": a\" c","code":400}',
            r'{"kind":"Status","message":"values[0]: Invalid value: \"<hidden>\" c","code":400}',
            id="from the first quotation mark to the last",
        ),
        pytest.param(
            '{"message":"the server\'s: found \'a\', but"}', '{"message":"the server\'s: found \'<hidden>\', but"}',
            id="an apostrophe is no quotation mark",
        ),
        pytest.param('{"message":"not \'a"}', '{"message":"not \'<hidden>"}', id="one that has no end"),
        pytest.param('{"message":"no such metric"}', '{"message":"no such metric"}', id="a message without any"),
        pytest.param(
            '{"matchExpressions":[{"key":"password","operator":"In","values":["a"]}],"items":[]}',
            '{"matchExpressions":[{"key":"<hidden>","operator":"In","values":["<hidden>"]}],"items":[]}',
            id="the values of a selector",
        ),
        pytest.param(
            "kind: Status\nmessage: 'a b\n\n  c ''d'' e'\ncode: 400\n", "kind: Status\nmessage: <hidden>\ncode: 400\n",
            id="a message in YAML",
        ),
        pytest.param(
            "- key: x\n  values:\n  - a\n  - b\nlabels:\n  token: a\n  app: web\n",
            "- key: <hidden>\n  values: <hidden>\nlabels:\n  token: <hidden>\n  app: web\n",
            id="labels and values in YAML",
        ),
    ],
)  # fmt: skip
def test_of_our_own_answers_what_they_quote_is_hidden(answer: str, shown: str) -> None:
    """A sentence about what a client sent quotes it."""
    assert shown_body(answer.encode(), ours=True) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Basic dTpw", "Authorization: <hidden>"),
        ("{'Authorization': 'Other a1'}", "{'Authorization': '<hidden>'}"),
        ("('AUTHORIZATION', 'Basic dTpw')", "('AUTHORIZATION', '<hidden>')"),
        (r"b'proxy-authorization: Basic dTpw\r\nHost: x'", r"b'proxy-authorization: <hidden>\r\nHost: x'"),
        ("cannot connect to https://u:p@proxy:3128/x", "cannot connect to https://<hidden>@proxy:3128/x"),
        ("//u:p@h and //a@b@c", "//<hidden>@h and //<hidden>@c"),
        ("GET https://h/x?api_key=a1&limit=5: timed out", "GET https://h/x?api_key=<hidden>&limit=5: timed out"),
        ("GET https://h/x?%61pi_key=a1 failed", "GET https://h/x?%61pi_key=<hidden> failed"),
        ("bEARer a1", "bEARer <hidden>"),
        ("Basic dTpw and more", "Basic <hidden> and more"),
        ('Digest username="a", response="b1", qop=auth', "Digest <hidden>"),
        ("x-eyJhbGciOi.eyJzdWIi.c2ln", "x-<hidden>"),
        ("%3DeyJhbGciOi.eyJzdWIi", "%3D<hidden>"),
        # What is no secret stays.
        ("user=oidc:jane@example.com", "user=oidc:jane@example.com"),
        ("https://issuer.example.com#jane@example.com", "https://issuer.example.com#jane@example.com"),
        ("the basics of authorization", "the basics of authorization"),
        ("to try: curl 'https://h/x?labelSelector=app%3Dweb'", "to try: curl 'https://h/x?labelSelector=app%3Dweb'"),
        ("application/json;g=apidiscovery.k8s.io;v=v2", "application/json;g=apidiscovery.k8s.io;v=v2"),
    ],
)  # fmt: skip
def test_credentials_in_any_text_are_hidden(text: str, shown: str) -> None:
    """As an error quotes a header field, a request or a URL; hidden once, a text stays as it is."""
    assert hide_secrets(text) == shown
    assert hide_secrets(shown) == shown
