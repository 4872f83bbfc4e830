"""Fixtures for every kind of test, and how hypothesis looks for counterexamples."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.registry import LocalRegistry, running_registry

ROOT = Path(__file__).resolve().parents[1]

# Two busy cores make single examples slow without any fault of theirs, hence no deadline.
_SLOW = [HealthCheck.too_slow]
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree."""
    return ROOT


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """An empty registry on loopback, open to everyone."""
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def image_layouts(repository: Path) -> Path:
    """The folder with the OCI layouts of functions/, made by `make images`."""
    folder = repository / "build" / "images"
    if not (folder / "aes" / "index.json").exists():
        pytest.fail("build/images is empty: run make images")
    return folder


@pytest.fixture(scope="session")
def function_images(registry: LocalRegistry, image_layouts: Path) -> dict[str, str]:
    """References of the images of functions/ in the loopback registry, by function."""
    layouts = sorted(path for path in image_layouts.iterdir() if (path / "index.json").exists())
    return {layout.name: registry.push(layout, layout.name) for layout in layouts}
