"""What each failure of the host becomes for a client: status, text, nothing half-created, one log line."""

import json
import logging
from typing import Any

import pytest

from junctiond.errors import HostError, Reason
from tests.contract.harness import Gateway

IMAGE = "registry.example/fn/aes:v1"
DOCUMENT = {"service": "aes", "image": IMAGE}

DEPLOY_FAULTS = [
    (Reason.IMAGE_UNKNOWN, "manifest unknown", 400, f"unable to pull image {IMAGE}: manifest unknown"),
    (Reason.IMAGE_CORRUPT, "digest of layer 2 differs", 400, f"unable to pull image {IMAGE}: digest of layer 2 differs"),
    (Reason.REGISTRY_UNREACHABLE, "connection refused", 400, f"unable to pull image {IMAGE}: connection refused"),
    (Reason.REGISTRY_DENIED, "unauthorized", 400, f"unable to pull image {IMAGE}: unauthorized"),
    (Reason.SECRET_UNKNOWN, "unable to find secret: key", 400, "unable to find secret: key"),
    (Reason.NAMESPACE_UNKNOWN, "namespace x not found", 400, "namespace not valid"),
    (Reason.LIMITS_INVALID, "memory: 12Q is no quantity", 400, "memory: 12Q is no quantity"),
    (Reason.DEPLOYMENT_INVALID, "an environment name has a =", 400, "an environment name has a ="),
    (Reason.NOT_READY, "aes does not listen\nlast lines:\nboom", 400, "aes does not listen\nlast lines:\nboom"),
    (Reason.LAUNCH_FAILED, "exec: no such file", 400, "exec: no such file"),
    (Reason.FUNCTION_EXISTS, "x", 400, 'unable to create function: aes, error: "aes.openfaas-fn": already exists'),
    (Reason.INTERNAL, "see the log", 500, "see the log"),
    (Reason.HOST_UNAVAILABLE, "junctiond does not answer", 502, "junctiond does not answer"),
]  # fmt: skip


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("reason", "message", "status", "text"), DEPLOY_FAULTS)
def test_deploy(
    shared_gateway: Gateway, method: str, reason: Reason, message: str, status: int, text: str
) -> None:
    with shared_gateway.client() as client:
        if method == "PUT":
            client.post("/system/functions", json=DOCUMENT)
        shared_gateway.host.fail_next = HostError(reason, message)
        answer = client.request(method, "/system/functions", json=DOCUMENT)
        assert (answer.status_code, answer.text) == (status, text + "\n")
        assert answer.headers["x-content-type-options"] == "nosniff"
        client.request("DELETE", "/system/functions", json={"functionName": "aes"})
        assert client.get("/system/functions").json() == []


def test_every_reason_has_an_answer(shared_gateway: Gateway) -> None:
    with shared_gateway.client() as client:
        for reason in Reason:
            shared_gateway.host.fail_next = HostError(reason, "message")
            answer = client.get("/system/functions")
            assert answer.status_code >= 400
            assert answer.text.strip()


def test_health_follows_the_host(shared_gateway: Gateway) -> None:
    with shared_gateway.client(auth=None) as client:
        assert client.get("/healthz").status_code == 200
        assert client.head("/healthz").status_code == 200
        shared_gateway.host.fail_next = HostError(Reason.HOST_UNAVAILABLE, "down")
        answer = client.get("/healthz")
        assert (answer.status_code, answer.content) == (502, b"")
        assert client.post("/healthz").status_code == 405


def test_one_log_line_with_the_call_id_and_no_secret(
    shared_gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = {"name": "key", "value": "VALUE-OF-SECRET"}
    with shared_gateway.client(headers={"X-Call-Id": "call-7"}) as client:
        assert client.post("/system/secrets", json=secret).headers["x-call-id"] == "call-7"
        assert (
            client.post("/system/secrets?q=IN-QUERY", content=b'{"name":"key"').status_code == 400
        )
        assert client.get("/system/nosuch/IN-PATH").status_code == 404
    lines = [_fields(record) for record in caplog.records if record.name == "provider.access"]
    assert [line["status"] for line in lines] == [200, 400, 404]
    assert [line["route"] for line in lines] == ["/system/secrets", "/system/secrets", "-"]
    assert all(line["call_id"] == "call-7" for line in lines)
    assert all(isinstance(line["duration_us"], int) for line in lines)
    # The test's own HTTP client logs too, in the same process.
    served = [one for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))]
    everything = json.dumps([vars(record) for record in served], default=repr)
    for hidden in ("VALUE-OF-SECRET", "IN-QUERY", "IN-PATH", shared_gateway.account.password):
        assert hidden not in everything


def test_a_bug_is_a_500_with_a_log_line(
    shared_gateway: Gateway, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provider.gotime.written", _broken)
    with shared_gateway.client() as client:
        client.post("/system/functions", json=DOCUMENT)
        answer = client.get("/system/functions")
        assert answer.status_code == 500
        assert answer.text == "internal error of the provider: see its log\n"
    monkeypatch.undo()
    assert any(record.exc_info for record in caplog.records)


def _broken(unix_ns: int) -> str:
    raise ZeroDivisionError


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = vars(record)["fields"]
    return found
