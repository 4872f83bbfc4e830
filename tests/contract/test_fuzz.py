"""Arbitrary bodies and queries on every route: an answer below 500 comes, whatever is sent.

Bodies are near-valid documents (right keys, wrong values), any JSON, and bytes that are no JSON at all.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from provider.routes import TABLE
from tests.contract.harness import Gateway

RUNS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WRITES = sorted(
    {(entry.method, entry.path) for entry in TABLE if entry.method not in ("GET", "HEAD")}
)
KEYS = [
    "service",
    "Service",
    "image",
    "namespace",
    "envProcess",
    "envVars",
    "constraints",
    "secrets",
    "labels",
    "annotations",
    "limits",
    "requests",
    "readOnlyRootFilesystem",
    "memory",
    "cpu",
    "functionName",
    "serviceName",
    "replicas",
    "name",
    "value",
    "rawValue",
    "status",
    "receiver",
    "alerts",
    "function_name",
    "openfaas",
]

texts = st.one_of(
    st.sampled_from(
        ["", "a", "openfaas-fn", "nosuch", "1", "a.b", "../x", "-", "é", "\x00", "A" * 300]
    ),
    st.text(max_size=20),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), texts), inner, max_size=5),
    ),
    max_leaves=12,
)
documents = st.dictionaries(st.sampled_from(KEYS), values, max_size=8)
bodies = st.one_of(
    documents.map(json.dumps).map(str.encode),
    values.map(json.dumps).map(str.encode),
    documents.map(json.dumps).flatmap(
        lambda text: st.integers(0, len(text)).map(lambda end: text[:end].encode())
    ),
    st.binary(max_size=60),
    st.sampled_from(
        [b"\xff\xfe", b'{"service":"\\ud800"}', b"[" * 50_000, b"1" * 10_000, b"1e999"]
    ),
)


@pytest.fixture(scope="module")
def client(shared_gateway: Gateway) -> Iterator[httpx.Client]:
    with shared_gateway.client() as found:
        yield found


@pytest.mark.parametrize(("method", "path"), WRITES)
@RUNS
@given(body=bodies, name=st.sampled_from(["a", "a.openfaas-fn", "x_Y.", "nosuch"]))
@example(body=b'{"service":"a","image":"i","envVars":{"A":"\\ud83d\\ude00 \\ud800"}}', name="a")
@example(body=b'{"name":"a","rawValue":"a"}', name="a")
@example(
    body=b'{"service":"a","image":"i","labels":{"com.openfaas.scale.min":"9999999"}}', name="a"
)
@example(body=b'{"serviceName":"a","replicas":1e400}', name="a")
@example(body=b'{"a":' * 9000 + b"1" + b"}" * 9000, name="a")
def test_bodies(client: httpx.Client, method: str, path: str, body: bytes, name: str) -> None:
    url = path.replace("{name:segment}", name).replace("{name:segment_or_empty}", name)
    check(client.request(method, url, content=body))


@RUNS
@given(
    path=st.sampled_from(
        ["/system/functions", "/system/function/a", "/system/secrets", "/system/logs"]
    ),
    query=st.dictionaries(
        st.sampled_from(["name", "namespace", "usage", "tail", "since", "instance"]),
        st.one_of(texts, st.integers().map(str), st.datetimes().map(lambda t: t.isoformat() + "Z")),
        max_size=4,
    ),
)
def test_queries(client: httpx.Client, path: str, query: dict[str, str]) -> None:
    check(client.get(path, params=query))


@RUNS
@given(
    path=st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=40
    )
)
def test_paths(client: httpx.Client, path: str) -> None:
    check(client.get("/system/" + path.replace("%", "%25"), params={"follow": "false"}))


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.content:
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text.endswith("\n")


def test_what_was_stored_can_be_listed(client: httpx.Client) -> None:
    """Runs after the fuzzing above: whatever it deployed must not break a list."""
    found: list[dict[str, Any]] = client.get("/system/functions").json()
    assert all(isinstance(one["labels"], dict) for one in found)
    assert client.get("/system/namespaces").status_code == 200
