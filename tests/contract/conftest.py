from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract import harness


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[harness.Gateway]:
    """A provider over an empty fake host, for one test."""
    with harness.gateway(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Gateway]:
    """A provider over a fake host for a whole module, where starting one per case would only cost time."""
    with harness.gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found
