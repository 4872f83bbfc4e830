"""One instance for all tests that leave it as they found it, the real faas-cli, and functions on demand."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.faascli import FaasCli
from tests.e2e.instance import Instance, running
from tests.support.registry import LocalRegistry
from tools.imagebuild.layout import ImageSpec, layer, write
from tools.imagebuild.tree import Tree

GUESTS = Path(__file__).parent / "guests"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

Reference = Callable[[str], str]


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A running junctiond."""
    if os.geteuid() != 0:
        pytest.fail("the e2e tests need root: they build sandboxes")
    with running(tmp_path_factory.mktemp("junctiond")) as started:
        yield started


@pytest.fixture(scope="session")
def faas(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> FaasCli:
    """faas-cli, logged in."""
    cli = FaasCli(instance.url, tmp_path_factory.mktemp("faas-cli"))
    cli.login(instance.password)
    return cli


@pytest.fixture(scope="session")
def sdk(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs one command of `sdk/` and returns its JSON answer."""
    program = tmp_path_factory.mktemp("sdk") / "sdk"
    environment = os.environ | {"CGO_ENABLED": "0"}
    folder = Path(__file__).parent / "sdk"
    subprocess.run(
        ["go", "build", "-o", str(program), "."], cwd=folder, env=environment, check=True
    )

    def command(*words: str) -> Any:
        done = subprocess.run(
            [str(program), *words],
            env={"OPENFAAS_URL": instance.url, "PASSWORD": instance.password},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"sdk {' '.join(words)}: {done.stdout}"
        return json.loads(done.stdout)

    return command


@pytest.fixture(scope="session")
def image(function_images: dict[str, str]) -> Reference:
    """Reference of a sample image in the registry."""
    return function_images.__getitem__


@pytest.fixture(scope="session")
def guest_image(registry: LocalRegistry, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Builds a guest of `guests/` into an image of one static program and pushes it; returns its reference."""
    folder = tmp_path_factory.mktemp("guests")
    built: dict[str, str] = {}

    def reference(name: str) -> str:
        if name not in built:
            program = folder / name
            if (GUESTS / f"{name}.c").exists():
                command = ["gcc", "-O1", "-static", "-o", str(program), str(GUESTS / f"{name}.c")]
                subprocess.run(command, check=True)
            else:
                subprocess.run(
                    ["go", "build", "-o", str(program), "."],
                    cwd=GUESTS / name,
                    env=os.environ | {"CGO_ENABLED": "0"},
                    check=True,
                )
            tree = Tree()
            tree.file(name, program.read_bytes(), 0o755)
            spec = ImageSpec(name, (layer(tree.archive()),), (f"/{name}",), ports=(8080,))
            write(spec, folder / f"{name}.oci", ARCHITECTURES[platform.machine()])
            built[name] = registry.push(folder / f"{name}.oci", f"guests/{name}")
        return built[name]

    return reference


def _deployer(instance: Instance, reference: Reference) -> Iterator[Reference]:
    deployed: set[str] = set()
    with instance.api() as api:

        def deploy(name: str) -> str:
            function = f"shared-{name}"
            if function not in deployed:
                document = {"service": function, "image": reference(name)}
                answer = api.post("/system/functions", json=document)
                assert answer.status_code == 200, answer.text
                deployed.add(function)
            return function

        yield deploy
        for function in deployed:
            api.request("DELETE", "/system/functions", json={"functionName": function})


@pytest.fixture(scope="session")
def deployed(instance: Instance, image: Reference) -> Iterator[Reference]:
    """Deploys a sample function once for all tests and returns its name."""
    yield from _deployer(instance, image)


@pytest.fixture(scope="session")
def guest_deployed(instance: Instance, guest_image: Reference) -> Iterator[Reference]:
    """Deploys a guest once for all tests and returns its name."""
    yield from _deployer(instance, guest_image)
