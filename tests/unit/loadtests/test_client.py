"""The Go client's own tests, as part of the Python suite: it has no other build to run them in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from loadtests.generators import CLIENT_SOURCE


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", [["vet", "./..."], ["test", "./..."]])
def test_go(command: list[str]) -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    assert go is not None, "Go is missing: make setup"
    environment = {**os.environ, "CGO_ENABLED": "0", "HOME": os.environ.get("HOME", "/root")}
    done = subprocess.run(
        [go, *command],
        cwd=CLIENT_SOURCE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_go_is_formatted() -> None:
    gofmt = shutil.which("gofmt") or shutil.which("gofmt", path="/usr/local/go/bin")
    assert gofmt is not None, "Go is missing: make setup"
    sources = [str(path) for path in Path(CLIENT_SOURCE).glob("*.go")]
    done = subprocess.run([gofmt, "-l", *sources], capture_output=True, text=True, check=True)
    assert not done.stdout
