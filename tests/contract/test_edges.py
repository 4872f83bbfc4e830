"""Requests at the edges of HTTP and of the limits, over a real socket."""

import base64
import http.client
import json
import socket
import sys
import time
from urllib.parse import urlsplit

import pytest

from junctiond.domain import Deployment
from junctiond.limits import REPLICAS_MAX
from provider.limits import BODY_BYTES_MAX, DEPLOYMENT_BYTES_MAX
from tests.contract.harness import Gateway

IMAGE = "registry.example/fn/aes:v1"


def test_a_body_over_the_limit_is_cut_off(shared_gateway: Gateway) -> None:
    with shared_gateway.client() as client:
        answer = client.post("/system/secrets", content=b"x" * (BODY_BYTES_MAX + 1))
        assert answer.status_code == 413
        assert str(BODY_BYTES_MAX) in answer.text
        assert client.get("/system/functions").status_code == 200


def test_a_deployment_over_its_limit(shared_gateway: Gateway) -> None:
    document = {"service": "big", "image": IMAGE, "envVars": {"X": "x" * DEPLOYMENT_BYTES_MAX}}
    with shared_gateway.client() as client:
        assert client.post("/system/functions", json=document).status_code == 413
        assert client.get("/system/function/big").status_code == 404


def test_a_secret_of_one_mebibyte_sent_twice_as_faas_cli_does(shared_gateway: Gateway) -> None:
    value = b"x" * (1024 * 1024)
    body = {"name": "large", "value": value.decode(), "rawValue": base64.b64encode(value).decode()}
    with shared_gateway.client() as client:
        assert client.post("/system/secrets", json=body).status_code == 200
    assert shared_gateway.host.secret_values["openfaas-fn", "large"] == value


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/", 301),
        ("POST", "/healthz", 405),
        ("POST", "/nosuch", 404),
        ("GET", "/system/functions", 401),
        ("POST", "/system/functions", 401),
        ("PUT", "/system/secrets", 401),
        ("POST", "/system/nosuch", 401),
    ],
)
def test_without_the_account_no_body_is_waited_for(
    shared_gateway: Gateway, method: str, path: str, status: int
) -> None:
    parts = urlsplit(shared_gateway.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n1"
        connection.sendall(head.encode())
        assert connection.recv(12) == f"HTTP/1.1 {status}".encode()


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//system/functions", "/system/functions"),
        ("/system//functions?namespace=x", "/system/functions?namespace=x"),
        ("/system/./functions", "/system/functions"),
        ("/nosuch/../system/functions", "/system/functions"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("//evil.example/%2e%2e/", "/"),
    ],
)
def test_path_cleaning(shared_gateway: Gateway, path: str, location: str) -> None:
    parts = urlsplit(shared_gateway.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.putrequest("GET", path, skip_host=False)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, location)
    connection.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/system/function/a%20b", 404),
        ("/system/function/a%2Fb", 404),
        ("/system/function/", 404),
        ("/system/function/Upper_Case.1", 404),
        ("/system/namespace/", 400),
        ("/system/namespace/a/b", 404),
        ("/system/functions/", 404),
        ("/system", 404),
        ("/ui", 404),
        ("/ui/page.js", 200),
        ("/ui/page.css", 200),
        ("/ui/../secrets", 404),
        ("/nosuch", 404),
        ("/async-function/x", 404),
        ("/function/x", 404),
    ],
)
def test_paths(shared_gateway: Gateway, path: str, status: int) -> None:
    with shared_gateway.client() as client:
        assert client.get(path, follow_redirects=True).status_code == status


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH", "TRACE"])
def test_wrong_methods(shared_gateway: Gateway, method: str) -> None:
    with shared_gateway.client() as client:
        answer = client.request(method, "/system/functions")
        assert (answer.status_code, answer.content) == (405, b"")


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic ", "Basic !!!", "Basic YWRtaW4=", "Bearer", "Bearer abc", "Digest x"],
)
def test_odd_credentials_are_wrong_ones(shared_gateway: Gateway, header: str) -> None:
    with shared_gateway.client(auth=None) as client:
        for path in ("/system/functions", "/system/nosuch", "/ui/", "/system"):
            answer = client.get(path, headers={"Authorization": header.strip()})
            assert (answer.status_code, answer.content) == (401, b"invalid credentials")
            assert answer.headers["www-authenticate"] == 'Basic realm="Restricted"'


def test_the_bearer_header_of_a_cli_that_is_not_logged_in(shared_gateway: Gateway) -> None:
    parts = urlsplit(shared_gateway.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(
            b"GET /system/functions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)],
)
def test_pages_of_other_sites_cannot_write(shared_gateway: Gateway, site: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": site}
    with shared_gateway.client(headers=headers) as client:
        body = {"name": "forged", "value": "x"}
        assert client.post("/system/secrets", json=body).status_code == status
        assert client.get("/system/secrets").status_code == 200


def test_namespace_from_body_query_and_name(shared_gateway: Gateway) -> None:
    space = {"name": "team", "labels": {"openfaas": "1"}}
    with shared_gateway.client() as client:
        client.post("/system/namespace/", json=space)
        deploy = {"service": "where", "image": IMAGE}
        scale = {"serviceName": "where", "replicas": 2}
        assert client.post("/system/functions?namespace=team", json=deploy).status_code == 200
        assert client.get("/system/function/where").status_code == 404
        assert client.get("/system/function/where.team").status_code == 200
        assert client.get("/system/function/where.team?namespace=team").status_code == 200
        path = "/system/scale-function/where"
        assert client.post(f"{path}?namespace=team", json=scale).status_code == 200
        assert client.post(path, json=scale | {"namespace": "team"}).status_code == 200
        assert client.post(f"{path}.team", json={"replicas": 3}).status_code == 200
        assert client.post(path, json=scale).status_code == 404
        assert client.get("/system/function/where.team").json()["replicas"] == 3
        removal = {"functionName": "where.team"}
        assert client.request("DELETE", "/system/functions", json=removal).status_code == 200
        assert client.get("/system/functions?namespace=team").json() == []


@pytest.mark.parametrize("replicas", [-1, REPLICAS_MAX + 1, 2**64, 1.5, "2", None, [], 10**400])
def test_replicas_out_of_range(shared_gateway: Gateway, replicas: object) -> None:
    with shared_gateway.client() as client:
        client.post("/system/functions", json={"service": "range", "image": IMAGE})
        body = json.dumps({"serviceName": "range", "replicas": replicas}).encode()
        answer = client.post("/system/scale-function/range", content=body)
        assert answer.status_code == (200 if replicas is None else 400), answer.text


def test_unknown_keys_case_and_null(shared_gateway: Gateway) -> None:
    body = (
        b'{"SERVICE":"odd","Image":"registry.example/fn/aes:v1","labels":null,"Annotations":{"a":"b"},'
        b'"limits":{"memory":"1Gi","nvidia.com/gpu":"1"},"network":"func","registryAuth":"c2VjcmV0",'
        b'"secrets":[],"envVars":{"K":null},"constraints":["x"]}'
    )
    with shared_gateway.client() as client:
        assert client.post("/system/functions", content=body).status_code == 200
        found = client.get("/system/function/odd").json()
    assert (found["labels"], found["annotations"]) == ({}, {"a": "b"})
    assert found["limits"] == {"memory": "1Gi", "nvidia.com/gpu": "1"}
    assert (found["secrets"], found["constraints"]) == ([], ["x"])
    assert "network" not in found
    assert "registryAuth" not in found


def test_alerts(shared_gateway: Gateway) -> None:
    labels = {"com.openfaas.scale.max": "10", "com.openfaas.scale.factor": "30"}
    document = {"service": "busy", "image": IMAGE, "labels": labels}
    named = {"labels": {"alertname": "rate", "function_name": "busy.openfaas-fn"}}

    def alert(status: str, *alerts: object) -> int:
        body = {"status": status, "receiver": "scale-up", "alerts": list(alerts) or [named]}
        return client.post("/system/alert", json=body).status_code

    with shared_gateway.client() as client:
        client.post("/system/functions", json=document)
        for wanted in (4, 7, 10, 10):
            assert alert("firing") == 200
            assert client.get("/system/function/busy").json()["replicas"] == wanted
        assert alert("resolved") == 200
        assert client.get("/system/function/busy").json()["replicas"] == 1
        assert alert("firing", {"labels": {"function_name": "nosuch"}}) == 200
        bad = client.post("/system/alert", content=b"{")
        assert (bad.status_code, bad.text) == (400, "Unable to parse alert, bad format.\n")


def test_metrics(shared_gateway: Gateway) -> None:
    counts = [0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]
    one = {
        "name": "aes",
        "namespace": "openfaas-fn",
        "started": 4,
        "codes": {"200": 2, "502": 1},
        "in_flight": 1,
        "queued": 0,
        "duration": {
            "bounds_s": [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
            "counts": counts,
            "sum_s": 12.5,
        },
    }
    shared_gateway.host.dataplane_json = json.dumps({"functions": [one], "sandboxes": []})
    with shared_gateway.client(auth=None) as client:
        text = client.get(f"{shared_gateway.metrics_url}/metrics").text
        health = client.get(f"{shared_gateway.metrics_url}/healthz")
        assert (health.status_code, health.text) == (200, "OK")
        assert client.post(f"{shared_gateway.metrics_url}/healthz").status_code == 405
        assert client.get(f"{shared_gateway.metrics_url}/system/functions").status_code == 404
    name = 'function_name="aes.openfaas-fn"'
    for line in (
        f'gateway_function_invocation_total{{code="200",{name}}} 2.0',
        f'gateway_function_invocation_total{{code="502",{name}}} 1.0',
        f"gateway_function_invocation_started{{{name}}} 4.0",
        f'gateway_functions_seconds_bucket{{{name},le="0.025"}} 2.0',
        f'gateway_functions_seconds_bucket{{{name},le="+Inf"}} 3.0',
        f"gateway_functions_seconds_count{{{name}}} 3.0",
        f"gateway_functions_seconds_sum{{{name}}} 12.5",
        f"gateway_function_invocation_inflight{{{name}}} 1.0",
    ):
        assert line in _sorted_labels(text), line


def test_a_thousand_functions_in_one_list(gateway: Gateway) -> None:
    async def deploy() -> None:
        for number in range(1000):
            document = json.dumps({"service": f"f{number}", "image": IMAGE, "envVars": {"A": "1"}})
            deployment = Deployment(f"f{number}", IMAGE, document=document.encode())
            await gateway.host.create(deployment)

    gateway.do(deploy())
    with gateway.client() as client:
        started_ns = time.monotonic_ns()
        found = client.get("/system/functions").json()
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
    # Shown by pytest -rP; a figure, not a threshold, for the machine may be busy.
    sys.stdout.write(f"1,000 functions listed in {took_ms:.1f} ms\n")
    assert len(found) == 1000


def _sorted_labels(text: str) -> set[str]:
    lines = set()
    for line in text.splitlines():
        head, brace, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        order = ",".join(sorted(labels.split(",")))
        lines.add(f"{head}{{{order}}} {value}" if brace else line)
    return lines
