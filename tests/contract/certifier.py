"""A certification suite for anything that claims to be an OpenFaaS gateway, modelled on OpenFaaS's own.

    python -m tests.contract.certifier --gateway http://127.0.0.1:8080 --password-file FILE --image REGISTRY/fn/aes:latest

Every case is a function over a `Target` and leaves nothing behind. Cases that invoke need a real data
plane; cases that look at what a function sees need an image with a watchdog that forks a process for each
request (`--fork-image`): they run `env` and `cat` in it. What cannot run says `skipped` and why.
Source: the cases of contracts section 6, restated; deployments are compared as strictly as there.
"""

import argparse
import base64
import json
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.contract.target import ATTEMPTS_MAX, CREATED, WRITTEN, Skipped, Target

Case = Callable[[Target], None]
CASES: list[Case] = []


def case(function: Case) -> Case:
    """Register a case."""
    CASES.append(function)
    return function


@case
def certify_health(target: Target) -> None:
    answer = target.call("GET", "/healthz", anonymous=True)
    assert (answer.status_code, answer.content) == (200, b"")


@case
def certify_info(target: Target) -> None:
    info = target.call("GET", "/system/info").json()
    provider, version = info["provider"], info["version"]
    for text in (
        provider["provider"],
        provider["orchestration"],
        provider["version"]["release"],
        provider["version"]["sha"],
        version["release"],
        version["sha"],
        info["arch"],
    ):
        assert text
        assert isinstance(text, str)


@case
def certify_authentication(target: Target) -> None:
    for path in ("/system/functions", "/system/info", "/system/secrets", "/ui/"):
        for header in ({}, {"Authorization": "Bearer"}, {"Authorization": "Basic eDp5"}):
            answer = target.call("GET", path, anonymous=True, headers=header)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="Restricted"'
            assert answer.content == b"invalid credentials"


@case
def certify_namespaces(target: Target) -> None:
    name = f"certify-{uuid.uuid4().hex[:8]}"
    assert target.namespace in target.call("GET", "/system/namespaces").json()
    document = {"name": name, "labels": {"openfaas": "1"}, "annotations": {"openfaas": "1"}}
    unlabelled = {"name": name}
    assert target.call("POST", "/system/namespace/", unlabelled).status_code == 400
    assert target.call("POST", "/system/namespace/", document).status_code == 201
    try:
        assert target.call("POST", "/system/namespace/", document).status_code == 409
        assert name in target.call("GET", "/system/namespaces").json()
        changed = document | {"labels": {"openfaas": "1", "team": "a"}}
        assert target.call("PUT", f"/system/namespace/{name}", changed).status_code == 202
        assert target.call("GET", f"/system/namespace/{name}").json()["labels"]["team"] == "a"
        with target.deployed(namespace=name) as function:
            listed = target.call("GET", f"/system/functions?namespace={name}").json()
            assert [one["name"] for one in listed] == [function]
            assert function not in target.call("GET", "/system/functions").text
    finally:
        assert target.call("DELETE", f"/system/namespace/{name}", document).status_code == 202
    assert target.call("GET", f"/system/namespace/{name}").status_code == 404
    assert name not in target.call("GET", "/system/namespaces").json()


def _compare(target: Target, sent: dict[str, Any]) -> None:
    """Deploy, read back both ways, and find exactly what was sent."""
    with target.deployed(**sent) as name:
        for found in (target.status(name), target.listed(name)):
            assert found["name"] == name
            assert found["image"] == target.image
            assert found["namespace"] == target.namespace
            assert found["labels"] == sent.get("labels", {})
            assert found["annotations"] == sent.get("annotations", {})
            for key in ("envProcess", "envVars", "constraints", "secrets", "limits", "requests"):
                assert found.get(key) == sent.get(key), key
            assert found["createdAt"].endswith("Z")
            assert found["createdAt"] > "2020"


@case
def certify_plain_deployment(target: Target) -> None:
    _compare(target, {})


@case
def certify_labels(target: Target) -> None:
    _compare(target, {"labels": {"Group": "A", "com.openfaas.scale.min": "1"}, "annotations": {}})


@case
def certify_annotations(target: Target) -> None:
    multi_line = '{\n  "key": "value",\n  "list": [1, 2]\n}\n'
    _compare(target, {"annotations": {"important-date": "Fri Aug 10", "json": multi_line}})


@case
def certify_environment(target: Target) -> None:
    _compare(target, {"envVars": {"A": "x=y=z", "EMPTY": "", "UNICODE": "größer ✓", "Q": '"'}})


@case
def certify_limits(target: Target) -> None:
    resources = {"memory": "64Mi", "cpu": "100m"}
    _compare(target, {"limits": resources, "requests": {"memory": "32Mi"}})


@case
def certify_constraints(target: Target) -> None:
    _compare(target, {"constraints": ["node.platform.os == linux", "b", "a"]})


@case
def certify_update(target: Target) -> None:
    with target.deployed(envVars={"VERSION": "1"}) as name:
        changed = {"service": name, "image": target.image, "envVars": {"VERSION": "2"}}
        answer = target.call("PUT", "/system/functions", changed)
        assert answer.status_code in CREATED, answer.text
        assert target.listed(name)["envVars"] == {"VERSION": "2"}
        assert target.call("POST", "/system/functions", changed).status_code == 400


@case
def certify_unknown_function(target: Target) -> None:
    document = {"service": "certify-unknown", "image": target.image}
    assert target.call("PUT", "/system/functions", document).status_code == 404
    answer = target.call("GET", "/system/function/certify-unknown?usage=1")
    assert (answer.status_code, answer.content) == (404, b"")
    removal = {"functionName": "certify-unknown"}
    assert target.call("DELETE", "/system/functions", removal).status_code == 404
    scaling = {"serviceName": "certify-unknown", "replicas": 1}
    path = "/system/scale-function/certify-unknown"
    assert target.call("POST", path, scaling).status_code == 404


@case
def certify_refused_deployments(target: Target) -> None:
    plain = {"service": "certify-refused", "image": target.image}
    refused = [
        plain | {"secrets": ["certify-no-such-secret"]},
        plain | {"namespace": "certify-no-such-namespace"},
        plain | {"service": "Not_A_Label"},
        plain | {"image": "127.0.0.1:1/certify/no-such-image:v1"},
        plain | {"image": ""},
        plain | {"labels": "no map"},
    ]
    for document in refused:
        answer = target.call("POST", "/system/functions", document)
        assert answer.status_code == 400, f"{document}: {answer.status_code} {answer.text}"
        assert answer.text.endswith("\n")
        assert answer.text.strip()
    for content in (b"", b"{bad", b"[]", b'{"service":'):
        answer = target.call("POST", "/system/functions", content=content)
        assert answer.status_code == 400
    assert target.call("GET", "/system/function/certify-refused").status_code == 404


@case
def certify_secrets(target: Target) -> None:
    name = f"certify-{uuid.uuid4().hex[:8]}"
    raw, value = base64.b64encode(bytes(range(256))).decode(), uuid.uuid4().hex
    here = {"name": name, "namespace": target.namespace}
    path = "/system/secrets"

    def listed() -> bool:
        return here in target.call("GET", f"{path}?namespace={target.namespace}").json()

    assert not listed()
    assert target.call("POST", path, here | {"value": value}).status_code in WRITTEN
    assert listed()
    assert value not in target.call("GET", path).text
    with target.deployed(secrets=[name]) as function:
        assert target.status(function)["secrets"] == [name]
    assert target.call("PUT", path, here | {"rawValue": raw}).status_code in CREATED
    assert target.call("DELETE", path, here).status_code in CREATED
    assert not listed()
    assert target.call("DELETE", path, here).status_code == 404
    for bad in ("", "a/b", "..", "../../etc/passwd"):
        assert target.call("POST", path, here | {"name": bad, "value": "x"}).status_code == 400


@case
def certify_minimum_scale(target: Target) -> None:
    with target.deployed(labels={"com.openfaas.scale.min": "2"}) as name:
        target.until_replicas(name, 2)


@case
def certify_scaling(target: Target) -> None:
    with target.deployed() as name:
        for replicas in (3, 1, 0, 2):
            request = {"serviceName": name, "replicas": replicas}
            path = f"/system/scale-function/{name}?namespace={target.namespace}"
            answer = target.call("POST", path, request)
            assert (answer.status_code, answer.content) in [(code, b"") for code in CREATED]
            target.until_replicas(name, replicas)


@case
def certify_logs(target: Target) -> None:
    with target.deployed() as name:
        answer = target.call("GET", f"/system/logs?name={name}&follow=false&tail=-1")
        assert answer.status_code == 200
        for line in answer.text.splitlines():
            record = json.loads(line)
            assert record.keys() == {"name", "namespace", "instance", "timestamp", "text"}
            assert record["name"] == name
    assert target.call("GET", "/system/logs?name=certify-unknown").content == b""
    for query in ("tail=x", "since=yesterday"):
        assert target.call("GET", f"/system/logs?name=x&{query}").status_code == 422


@case
def certify_routes(target: Target) -> None:
    for path in ("/system/functions/", "/metrics", "/async-function/x", "/ui", "/nosuch"):
        answer = target.call("POST" if "async" in path else "GET", path)
        assert (answer.status_code, answer.text) == (404, "404 page not found\n"), path
    answer = target.call("PATCH", "/system/functions")
    assert (answer.status_code, answer.content) == (405, b"")
    assert target.call("GET", "/").headers["location"] == "/ui/"
    assert target.call("GET", "/ui/").status_code == 200


@case
def certify_invoke_unknown(target: Target) -> None:
    if not target.invokes:
        raise Skipped("needs a data plane")
    for path in ("/function/.openfaas-fn", "/function/certify-unknown"):
        answer = target.call("POST", path, anonymous=True, content=b"x")
        assert answer.status_code in (404, 502)


@case
def certify_invoke(target: Target) -> None:
    environment = {"custom_env": "custom_value"}
    image = target.needs("fork_image")
    with target.deployed(image=image, envProcess="env", envVars=environment) as name:
        path = f"/function/{name}.{target.namespace}?testing=1"
        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = target.until(200, verb, path, anonymous=True, content=b"x")
            assert f"Http_Method={verb}" in answer.text
            assert "Http_Query=testing=1" in answer.text
            assert "custom_env=custom_value" in answer.text
            assert answer.headers["X-Call-Id"]
            assert int(answer.headers["X-Start-Time"]) > 10**18


@case
def certify_invocation_count(target: Target) -> None:
    if not target.invokes:
        raise Skipped("needs a data plane")
    with target.deployed() as name:
        for _ in range(3):
            target.call("POST", f"/function/{name}", anonymous=True, content=b"x")
        for _ in range(ATTEMPTS_MAX):
            if target.listed(name).get("invocationCount", 0) >= 3:
                return
            time.sleep(target.wait_s)
        raise AssertionError("3 invocations were not counted")


@case
def certify_scale_from_zero(target: Target) -> None:
    if not target.invokes:
        raise Skipped("needs a data plane")
    with target.deployed() as name:
        answer = target.call("POST", f"/function/{name}", anonymous=True, content=b"x")
        request = {"serviceName": name, "replicas": 0}
        assert target.call("POST", f"/system/scale-function/{name}", request).status_code in CREATED
        target.until_replicas(name, 0)
        woken = target.call("POST", f"/function/{name}", anonymous=True, content=b"x")
        assert woken.status_code == answer.status_code


@case
def certify_secret_in_function(target: Target) -> None:
    image = target.needs("fork_image")
    name = f"certify-{uuid.uuid4().hex[:8]}"
    value = bytes(range(256))
    document = {"name": name, "rawValue": base64.b64encode(value).decode()}
    assert target.call("POST", "/system/secrets", document).status_code in WRITTEN
    try:
        process = f"cat /var/openfaas/secrets/{name}"
        with target.deployed(image=image, secrets=[name], envProcess=process) as function:
            path = f"/function/{function}"
            assert target.until(200, "POST", path, anonymous=True).content == value
    finally:
        target.call("DELETE", "/system/secrets", {"name": name})


def main(arguments: list[str]) -> int:
    """Run every case against one gateway and print one line for each; returns the exit status."""
    parser = argparse.ArgumentParser(prog="certifier")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--image", required=True, help="any function image")
    parser.add_argument("--fork-image", default="", help="a function that forks per request")
    given = parser.parse_args(arguments)
    password = given.password_file.read_text().strip()
    target = Target(given.gateway, given.user, password, given.image, given.fork_image)
    failed = 0
    for function in CASES:
        verdict = run(function, target)
        failed += verdict.startswith("FAILED")
        sys.stdout.write(f"{function.__name__:32} {verdict}\n")
    return 1 if failed else 0


def run(function: Case, target: Target) -> str:
    """`ok`, `skipped: …` or `FAILED: …`."""
    try:
        function(target)
    except Skipped as reason:
        return f"skipped: {reason}"
    except (AssertionError, httpx.HTTPError, KeyError, ValueError) as fault:
        return f"FAILED: {type(fault).__name__} {fault}"
    return "ok"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
