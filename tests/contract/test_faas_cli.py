"""The real faas-cli against the provider over the fake host: every verb the provider answers."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.harness import Gateway

REPOSITORY = Path(__file__).parents[2]
IMAGE = "registry.example/fn/aes:v1"
Cli = Callable[..., str]


def binary() -> Path | None:
    built = REPOSITORY / ".cache" / "bin" / "faas-cli"
    found = str(built) if built.exists() else shutil.which("faas-cli")
    return Path(found) if found else None


pytestmark = pytest.mark.skipif(binary() is None, reason="faas-cli is not built: run `make setup`")


@pytest.fixture
def cli(gateway: Gateway, tmp_path: Path) -> Cli:
    folder = tmp_path / "home"
    folder.mkdir()
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "OPENFAAS_URL": gateway.url,
        "OPENFAAS_CONFIG": str(folder / "config"),
    }

    def run(*arguments: str, fails: bool = False, stdin: str = "") -> str:
        done = subprocess.run(
            [str(binary()), *arguments],
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        return said

    return run


@pytest.fixture
def logged_in(cli: Cli, gateway: Gateway) -> Cli:
    account = gateway.account
    said = cli("login", "-u", account.user, "--password-stdin", stdin=account.password)
    assert "credentials saved for admin" in said
    return cli


def test_login(cli: Cli, gateway: Gateway) -> None:
    said = cli("login", "-u", "admin", "--password-stdin", stdin="wrong", fails=True)
    assert "Unable to login, either username or password is incorrect".lower() in said.lower()
    assert "Unauthorized access" in cli("list", fails=True)


def test_life_of_a_function(logged_in: Cli, gateway: Gateway) -> None:
    deploy = ("deploy", "--image", IMAGE, "--name", "aes")
    said = logged_in(*deploy, "--env", "A=x=y", "--label", "tier=gold", "--annotation", "topic=a")
    assert "Deployed. 200 OK." in said
    assert "rolling-update" not in said
    assert f"{gateway.url}/function/aes" in said
    assert "attempting rolling-update" in logged_in(*deploy, "--env", "A=x=y")
    assert "already exists" in logged_in(*deploy, "--update=false", fails=True)
    assert "Deployed. 200 OK." in logged_in(*deploy, "--update=false", "--replace")
    assert "aes" in logged_in("list")
    assert IMAGE in logged_in("list", "-v")
    described = logged_in("describe", "aes")
    assert "Ready" in described
    assert "Not Ready" not in described
    assert "No such function" in logged_in("describe", "nosuch", fails=True)
    assert "Removing old function." in logged_in("remove", "aes")
    assert "No existing function to remove" in logged_in("remove", "aes", fails=True)
    assert "aes" not in logged_in("list", "-q")


def test_refused_deployments(logged_in: Cli, gateway: Gateway) -> None:
    gateway.host.images = {IMAGE}
    said = logged_in(
        "deploy", "--image", "registry.example/no/such:v1", "--name", "bad", fails=True
    )
    assert "unable to pull image" in said
    said = logged_in("deploy", "--image", IMAGE, "--name", "bad", "--secret", "nosuch", fails=True)
    assert "unable to find secret: nosuch" in said
    said = logged_in("deploy", "--image", IMAGE, "--name", "bad", "-n", "nosuch", fails=True)
    assert "namespace not valid" in said
    said = logged_in("deploy", "--image", IMAGE, "--name", "Bad_Name", fails=True)
    assert "must be a valid DNS entry" in said


def test_stack_file(logged_in: Cli, gateway: Gateway, tmp_path: Path) -> None:
    stack = {
        "version": "1.0",
        "provider": {"name": "openfaas", "gateway": gateway.url},
        "functions": {
            name: {
                "lang": "dockerfile",
                "handler": f"./{name}",
                "image": IMAGE,
                "skip_build": True,
                "environment": {"E": "F"},
                "limits": {"memory": "64Mi"},
            }
            for name in ("one", "two")
        },
    }
    path = tmp_path / "home" / "stack.yml"
    path.write_text(json.dumps(stack))
    assert logged_in("deploy", "-f", str(path)).count("Deployed. 200 OK.") == 2
    with gateway.client() as client:
        listed = client.get("/system/functions").json()
    assert [one["name"] for one in listed] == ["one", "two"]
    assert all(one["limits"] == {"memory": "64Mi"} for one in listed)
    assert logged_in("remove", "-f", str(path)).count("Removing old function.") == 2


def test_secrets(logged_in: Cli, gateway: Gateway) -> None:
    assert "200 OK" in logged_in("secret", "create", "s1", "--from-literal", "v1")
    assert gateway.host.secret_values["openfaas-fn", "s1"] == b"v1"
    logged_in("secret", "create", "s2", stdin="from stdin")
    assert gateway.host.secret_values["openfaas-fn", "s2"] == b"from stdin"
    assert "200 OK" in logged_in("secret", "update", "s1", "--from-literal", "v2")
    assert gateway.host.secret_values["openfaas-fn", "s1"] == b"v2"
    listed = logged_in("secret", "list")
    assert "s1" in listed
    assert "s2" in listed
    assert "Removed" in logged_in("secret", "remove", "s1")
    assert "s1" not in logged_in("secret", "list")
    assert "unable to find secret" in logged_in("secret", "remove", "s1", fails=True).lower()


def test_logs(logged_in: Cli, gateway: Gateway) -> None:
    logged_in("deploy", "--image", IMAGE, "--name", "aes")
    gateway.host.now_ns = 2_000_000_000_000_000_000
    for text in ("first line", "second line"):
        gateway.do(gateway.host.write_log("aes", text))
    said = logged_in("logs", "aes", "--tail=false")
    assert said.index("first line") < said.index("second line")
    assert "first line" not in logged_in("logs", "aes", "--tail=false", "--lines", "1")


def test_namespaces_and_version(logged_in: Cli, gateway: Gateway) -> None:
    with gateway.client() as client:
        client.post("/system/namespace/", json={"name": "team", "labels": {"openfaas": "1"}})
    said = logged_in("namespaces")
    assert "openfaas-fn" in said
    assert "team" in said
    logged_in("deploy", "--image", IMAGE, "--name", "aes", "-n", "team")
    assert "aes" in logged_in("list", "-n", "team")
    assert "aes" not in logged_in("list", "-q")
    logged_in("remove", "aes", "-n", "team")
    # It looks for its newest release afterwards, which must not decide anything here.
    version = logged_in("version", "--warn-update=false")
    assert "orchestration: junctiond" in version
    assert "faasd" in version
