"""What the workshop asks of whoever takes snapshots."""

from typing import Protocol

from junctiond.lifecycle.generation import Generation
from junctiond.sandbox.base import KeeperState
from junctiond.sandbox.spec import SandboxSpec
from junctiond.store import Lease


class SnapshotMaker(Protocol):
    """Takes snapshots where they are worth it."""

    def cares(self, generation: Generation, spec: SandboxSpec) -> bool:
        """Whether `consider` may have anything to do for a replica that was launched so. Cheap."""
        ...

    def consider(
        self, lease: Lease, generation: Generation, spec: SandboxSpec, state: KeeperState | None
    ) -> None:
        """A replica accepts connections. Returns at once."""
        ...
