"""Goal: the Locust scenarios run as their README says, against functions of every kind, and say what was wrong."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.instance import Instance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
README = Path(__file__).parents[2] / "loadtests/locust/README.md"
COMMANDS = {
    Path(re.findall(r"-f (\S+)", command)[0]).stem: command
    for command in re.findall(r"\| `([^`]*bin/locust -f [^`]*)` \|", README.read_text())
}
SHORT = {"STEPS": "1,4", "STEP_S": "1", "RATE": "50"}


def run(
    repository: Path, instance: Instance, password: Path, scenario: str, function: str
) -> subprocess.CompletedProcess[str]:
    """Runs a scenario by its line in the README, but for the port, the time and the load."""
    settings, _, command = COMMANDS[scenario].partition(".venv/bin/locust")
    assert not settings or settings.startswith("RATE=")
    command = command.replace("http://127.0.0.1:8080", instance.url).replace("-t 30s", "-t 4s")
    return subprocess.run(
        [str(repository / ".venv/bin/locust"), *shlex.split(command), "--only-summary"],
        cwd=repository,
        env={**os.environ, **SHORT, "FUNCTION": function, "PASSWORD_FILE": str(password)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def password(instance: Instance, tmp_path: Path) -> Path:
    """A file with the gateway's password."""
    path = tmp_path / "password"
    path.write_text(instance.password)
    return path


def test_the_readme_has_a_line_for_every_scenario() -> None:
    scenarios = {path.stem for path in README.parent.glob("*.py")} - {"__init__", "invocation"}
    assert set(COMMANDS) == scenarios


@pytest.mark.parametrize(
    ("scenario", "function"),
    [*((scenario, "aes") for scenario in COMMANDS), ("new_connections", "hello")],
)
def test_a_scenario_runs_without_a_failure(
    repository: Path,
    instance: Instance,
    password: Path,
    deployed: Callable[[str], str],
    scenario: str,
    function: str,
) -> None:
    name = deployed(function)
    done = run(repository, instance, password, scenario, name)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    row = re.search(rf"/function/{name} +(\d+) +0\(0\.00%\)", said)
    assert row is not None, said
    assert int(row[1]) > 0
    # Cold starts may leave it at zero; other tests use it too.
    assert (
        httpx.post(f"{instance.url}/function/{name}", content=b"x", timeout=30).status_code == 200
    )


def test_wrong_answers_fail_the_run(repository: Path, instance: Instance, password: Path) -> None:
    done = run(repository, instance, password, "sequential", "nobody")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "status 404" in done.stdout + done.stderr
