"""Which junctiond this is. The version's home is pyproject.toml."""

import subprocess
from importlib import metadata
from pathlib import Path

COMMIT_FILE = Path(__file__).with_name("COMMIT")
"""Written by a release; a checkout asks git instead."""


def version() -> str:
    """The installed distribution's version."""
    try:
        return metadata.version("junctiond")
    except metadata.PackageNotFoundError:
        return "0.0.0+checkout"


def commit() -> str:
    """The commit this was built from; "unknown" where nothing tells."""
    if COMMIT_FILE.is_file():
        return COMMIT_FILE.read_text().strip()
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
