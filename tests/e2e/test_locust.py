"""Goal: the Locust files run against a real instance and find every answer right, or say what was wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.instance import Instance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
FILES = Path("loadtests/locust")


def locust(
    repository: Path, instance: Instance, scenario: str, *options: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Runs a scenario to its end, without a page."""
    command = [sys.executable, "-m", "locust", "-f", str(repository / FILES / scenario)]
    command += ["--headless", "--only-summary", "-H", instance.url, *options]
    return subprocess.run(
        command,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository), **settings},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize(
    ("scenario", "options", "settings"),
    [
        ("sequential.py", ("-t", "2s"), {}),
        ("closed_loop.py", (), {"STEPS": "1,4", "STEP_S": "1"}),
        ("open_loop.py", ("-t", "2s"), {"RATE": "50", "USERS": "8"}),
    ],
)
def test_a_scenario_runs_without_a_failure(
    repository: Path,
    instance: Instance,
    deployed: Callable[[str], str],
    scenario: str,
    options: tuple[str, ...],
    settings: dict[str, str],
) -> None:
    function = deployed("aes")
    done = locust(repository, instance, scenario, *options, FUNCTION=function, **settings)
    assert done.returncode == 0, done.stderr
    assert f"/function/{function}" in done.stdout + done.stderr
    assert "0(0.00%)" in done.stdout + done.stderr


def test_wrong_answers_fail_the_run(repository: Path, instance: Instance) -> None:
    done = locust(repository, instance, "sequential.py", "-t", "3s", FUNCTION="nobody")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "status 404" in done.stdout + done.stderr
