"""Goal: an unmodified faas-cli does its whole job here, with real images from a real registry.

Method: the four sample images are pushed to a registry on loopback; every command is the real binary. The verbs that
came after the version of faas-cli which can be built here are driven through the library under them (`sdk/`).
"""

import json
import subprocess
from typing import Any

import pytest

from tests.e2e.faascli import REPOSITORY, FaasCli
from tests.e2e.instance import Instance, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

KEY = "2b7e151628aed2a6abf7158809cf4f3c"  # the function's defaults
IV = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
FUNCTIONS = ("aes", "hello", "node-hello", "cgi")


def test_a_wrong_password_is_refused(instance: Instance, tmp_path) -> None:
    outcome = FaasCli(instance.url, tmp_path).run(
        "login", "-u", "admin", "--password-stdin", stdin="wrong"
    )
    assert outcome.code == 1
    assert "either username or password is incorrect" in outcome.text


def test_without_login_the_way_to_log_in_is_named(instance: Instance, tmp_path) -> None:
    outcome = FaasCli(instance.url, tmp_path).run("list")
    assert outcome.code == 1
    assert 'run "faas-cli login"' in outcome.text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_lives_its_whole_life(faas: FaasCli, sdk, image, name: str) -> None:
    printed = faas.ok("deploy", "--image", image(name), "--name", f"life-{name}")
    assert "Deployed. 200 OK." in printed
    assert f"/function/life-{name}" in printed

    assert f"life-{name}" in faas.ok("list")
    assert image(name) in faas.ok("list", "-v")
    assert sdk("ready", f"life-{name}") == 1
    described = faas.ok("describe", f"life-{name}")
    assert "Ready" in described
    assert image(name) in described

    assert faas.ok("invoke", f"life-{name}", stdin="something to work on")
    assert "Removing old function." in faas.ok("remove", f"life-{name}")
    assert f"life-{name}" not in faas.ok("list")
    gone = faas.run("invoke", f"life-{name}", stdin="x")
    assert gone.code == 1
    assert "404" in gone.text


def test_aes_encrypts_as_openssl_does(instance: Instance, deployed) -> None:
    name = deployed("aes")
    plain = bytes(range(256)) * 2 + b"tail"
    cipher = instance.invoke(name, plain).content
    expected = subprocess.run(
        ["openssl", "enc", "-aes-128-ctr", "-K", KEY, "-iv", IV, "-nosalt"],
        input=plain,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert cipher == expected


def test_version_names_provider_and_gateway(faas: FaasCli) -> None:
    printed = faas.run("version", "--warn-update=false").text
    assert "junctiond" in printed or "faasd" in printed
    assert "sha:" in printed


def test_the_library_of_newer_versions_reads_info_and_functions(sdk, deployed) -> None:
    info = sdk("info")
    assert info["provider"]["version"]["release"]
    assert info["version"]["release"]
    name = deployed("aes")
    assert name in [function["name"] for function in sdk("functions")]


def test_scaling_through_the_library(sdk, deployed, instance: Instance) -> None:
    name = deployed("aes")
    assert sdk("scale", name, "2") == "scaled"
    with instance.api() as api:

        def status() -> Any:
            return api.get(f"/system/function/{name}").json()

        eventually(lambda: status().get("availableReplicas") == 2)
        assert sdk("scale", name, "1") == "scaled"
        eventually(lambda: status().get("replicas") == 1)


def test_invoke_passes_method_query_headers_and_content_type(faas: FaasCli, guest_deployed) -> None:
    name = guest_deployed("behaviours")
    printed = faas.ok(
        "invoke", name, "--query", "a=1", "-H", "X-Test=yes", "-m", "PUT",
        "--content-type", "application/json", stdin="hi",
    )  # fmt: skip
    assert printed.startswith("PUT /?a=1")
    assert "X-Test: yes" in printed
    assert "Content-Type: application/json" in printed
    assert printed.endswith("\n\nhi")


def test_logs_show_what_the_function_wrote(faas: FaasCli, instance: Instance, deployed) -> None:
    name = deployed("hello")
    instance.invoke(name, b"make it say something")
    printed = faas.ok("logs", name, "--tail=false", "--since", "10m")
    assert printed.strip()
    first = json.loads(
        faas.ok("logs", name, "--tail=false", "--since", "10m", "-o", "json").splitlines()[0]
    )
    assert first["name"] == name
    assert first["namespace"] == "openfaas-fn"


def test_secrets_come_go_and_reach_the_function(faas: FaasCli, image, tmp_path) -> None:
    assert "200 OK" in faas.ok("secret", "create", "api-key", "--from-literal", "first-value")
    assert "api-key" in faas.ok("secret", "list")
    faas.ok(
        "deploy", "--image", image("cgi"), "--name", "secretive", "--secret", "api-key",
        "--fprocess", "cat /var/openfaas/secrets/api-key",
    )  # fmt: skip
    assert faas.ok("invoke", "secretive", stdin="") == "first-value"
    assert "Updated: 200 OK" in faas.ok(
        "secret", "update", "api-key", "--from-literal", "second-value"
    )
    faas.ok(
        "deploy", "--image", image("cgi"), "--name", "secretive", "--secret", "api-key",
        "--fprocess", "cat /var/openfaas/secrets/api-key", "--annotation", "generation=2",
    )  # fmt: skip
    assert faas.ok("invoke", "secretive", stdin="") == "second-value"
    faas.ok("remove", "secretive")
    assert "Removed" in faas.ok("secret", "remove", "api-key")
    assert "api-key" not in faas.ok("secret", "list")


def test_a_missing_secret_stops_the_deployment(faas: FaasCli, image) -> None:
    outcome = faas.run(
        "deploy", "--image", image("aes"), "--name", "nosecret", "--secret", "nosuch"
    )
    assert outcome.code == 1
    assert "unable to find secret: nosuch" in outcome.text
    assert "nosecret" not in faas.ok("list")


def test_namespaces_separate_functions(faas: FaasCli, sdk, image) -> None:
    assert "openfaas-fn" in faas.ok("namespaces")
    assert sdk("namespace", "create", "staging") == 201
    assert "staging" in faas.ok("namespaces")
    assert sdk("namespace", "update", "staging") == 202
    assert sdk("namespace", "get", "staging")["labels"] == {"openfaas": "1", "team": "a"}
    faas.ok("deploy", "--image", image("aes"), "--name", "both", "--namespace", "staging")
    faas.ok("deploy", "--image", image("hello"), "--name", "both")
    ours = faas.ok("invoke", "both", stdin="x")
    assert faas.run("invoke", "both", "--namespace", "staging", stdin="x").text != ours
    faas.ok("remove", "both", "--namespace", "staging")
    assert "both" in faas.ok("list")
    faas.ok("remove", "both")
    assert sdk("namespace", "remove", "staging") == "removed"
    assert "staging" not in faas.ok("namespaces")


def test_a_stack_file_deploys_all_four(faas: FaasCli, registry) -> None:
    text = (REPOSITORY / "functions" / "stack.yaml").read_text()
    (faas.home / "stack.yaml").write_text(
        text.replace("${REGISTRY:-127.0.0.1:5000}", registry.address)
    )
    try:
        printed = faas.ok("deploy", "-f", "stack.yaml")
        assert printed.count("Deployed. 200 OK.") == len(FUNCTIONS)
        faas.ok("remove", "-f", "stack.yaml")
    finally:
        (faas.home / "stack.yaml").unlink()


def test_an_unknown_image_is_named(faas: FaasCli, registry) -> None:
    outcome = faas.run("deploy", "--image", f"{registry.address}/nosuch:v1", "--name", "noimage")
    assert outcome.code == 1
    assert f"unable to pull image {registry.address}/nosuch:v1" in outcome.text
    assert "noimage" not in faas.ok("list")
