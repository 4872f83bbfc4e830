"""Where snapshots lie: STATE/snapshots/NAMESPACE/NAME/KEY.snap, readable by root alone, for they hold a function's secrets.

Nothing here is needed to start a function: a file that is missing, old or broken means an ordinary start.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from junctiond.domain import SnapshotCounts
from junctiond.sandbox.plan import SnapshotChoice
from junctiond.sandbox.spec import SandboxSpec, SnapshotWish
from junctiond.snapshots.key import key_of

AGE_NS_MAX = 24 * 3600 * 1_000_000_000
"""Older ones are not used: what a program looked up at its start (a token, an address) grows old with its snapshot."""
ENDING = ".snap"

Owner = tuple[str, str]
"""Namespace and name of a function."""


@dataclass(slots=True)
class Counts:
    """What happened since the daemon started."""

    taken: int = 0
    refused: int = 0
    restored: int = 0
    fallbacks: int = 0
    reasons: dict[Owner, str] = field(default_factory=dict)
    """Why a function has none, by function."""

    def frozen(self) -> SnapshotCounts:
        """The numbers as they are now."""
        return SnapshotCounts(self.taken, self.refused, self.restored, self.fallbacks)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What was tried for one key of a function."""

    key: str
    count: int
    last_ns: int
    underway: bool = False
    refused: bool = False


class Shelf:
    """The snapshots of this host."""

    def __init__(
        self, root: Path, restorer: Path | None, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._root = root
        self._now_ns = now_ns
        self._current: dict[Owner, str] = {}
        self.restorer = restorer
        """None: it was not built, so there are no snapshots."""
        self.counts = Counts()
        self.attempts: dict[Owner, Attempts] = {}

    def key(self, spec: SandboxSpec) -> str:
        """The key of a specification; empty where there are no snapshots."""
        return key_of(spec, self.restorer) if self.restorer else ""

    def path(self, owner: Owner, key: str) -> Path:
        """The file of a key. Names of functions and namespaces were checked when they came."""
        namespace, name = owner
        return self._root / namespace / name / f"{key}{ENDING}"

    def fresh(self, owner: Owner, key: str) -> Path | None:
        """The file of a key, if it is there and not too old."""
        path = self.path(owner, key)
        try:
            age_ns = self._now_ns() - path.stat().st_mtime_ns
        except OSError:
            return None
        if age_ns <= AGE_NS_MAX:
            return path
        path.unlink(missing_ok=True)
        return None

    def apply(self, spec: SandboxSpec, owner: Owner, choice: SnapshotChoice) -> SandboxSpec:
        """The specification with the way to a snapshot, where there is one for it."""
        if choice is SnapshotChoice.NEVER or self.restorer is None:
            return spec
        # Most functions never have one, and this is asked for each launch.
        if not os.path.isdir(f"{self._root}/{owner[0]}/{owner[1]}"):  # noqa: PTH112
            return spec
        path = self.fresh(owner, self.key(spec))
        if path is None:
            return spec
        wish = SnapshotWish(restorer=str(self.restorer), restore=str(path))
        return msgspec.structs.replace(spec, snapshot=wish)

    def claim(self, owner: Owner, key: str) -> None:
        """From now on this is the function's key; files of others go."""
        self._current[owner] = key
        folder = self.path(owner, key).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in folder.iterdir():
            if file.name != f"{key}{ENDING}":
                file.unlink(missing_ok=True)

    def draft(self, owner: Owner, key: str, ending: str) -> Path:
        """A file that is being written."""
        return self.path(owner, key).with_suffix(ending)

    def publish(self, owner: Owner, key: str) -> None:
        """The draft becomes the snapshot."""
        self.draft(owner, key, ".taken").replace(self.path(owner, key))
        self._tidy(owner)

    def discard(self, owner: Owner, key: str) -> None:
        """The draft is not wanted."""
        self.path(owner, key).unlink(missing_ok=True)
        self._tidy(owner)

    def wants(self, owner: Owner, key: str) -> bool:
        """Whether this still is the function's key; otherwise what was written for it is removed."""
        if self._current.get(owner) == key:
            return True
        self.discard(owner, key)
        return False

    def _tidy(self, owner: Owner) -> None:
        """Removes everything but snapshots."""
        for file in self.path(owner, "").parent.glob("*"):
            if file.suffix != ENDING:
                file.unlink(missing_ok=True)

    def drop(self, owner: Owner) -> None:
        """The function is gone."""
        self._current.pop(owner, None)
        self.counts.reasons.pop(owner, None)
        self.attempts.pop(owner, None)
        shutil.rmtree(self.path(owner, "").parent, ignore_errors=True)

    def drop_namespace(self, namespace: str) -> None:
        """A secret of a namespace changed, or the namespace is gone: no memory that may hold it stays."""
        for owner in [owner for owner in self._current if owner[0] == namespace]:
            del self._current[owner]
        shutil.rmtree(self._root / namespace, ignore_errors=True)

    def retain(self, owners: Iterable[Owner]) -> None:
        """Removes what belongs to no function, and what an interrupted writer left."""
        kept = set(owners)
        for folder in self._root.glob("*/*"):
            if (folder.parent.name, folder.name) not in kept:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self._tidy((folder.parent.name, folder.name))
