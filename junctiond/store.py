"""What the host must know after a reboot: namespaces, functions, leases. SQLite in WAL mode.

Read first: the daemon is the only writer (single-instance lock), so a short synchronous transaction on the event loop's
thread is both simpler and faster than a thread hop; every statement here touches a few rows and takes microseconds.
Leases and what a wake-up changes may be committed together, a moment later (`Store.defer`): whoever finds a sandbox without
its lease after a crash, or a lease without its sandbox, sets that right. What a caller was told is committed before.
Secrets are not here (`secrets.py`): database files travel in backups.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from junctiond.domain import DEFAULT_NAMESPACE, Deployment, Namespace
from junctiond.images.base import Image

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_MIGRATIONS = {
    1: """
        CREATE TABLE namespaces (
            name TEXT PRIMARY KEY,
            labels TEXT NOT NULL,
            annotations TEXT NOT NULL
        ) STRICT;
        CREATE TABLE functions (
            namespace TEXT NOT NULL REFERENCES namespaces(name),
            name TEXT NOT NULL,
            generation INTEGER NOT NULL,
            replicas INTEGER NOT NULL,
            created_at_ns INTEGER NOT NULL,
            deployment BLOB NOT NULL,
            image BLOB NOT NULL,
            watchdog TEXT NOT NULL,
            PRIMARY KEY (namespace, name)
        ) STRICT;
        CREATE TABLE leases (
            sandbox TEXT PRIMARY KEY,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            generation INTEGER NOT NULL,
            slot INTEGER NOT NULL UNIQUE,
            port INTEGER NOT NULL,
            launched_at_ns INTEGER NOT NULL,
            ready_at_ns INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    """,
}


class StoreError(Exception):
    """The database cannot be used; the message names the file and the mend."""


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A deployed function."""

    deployment: Deployment
    generation: int
    replicas: int
    created_at_ns: int
    image: Image
    """Kept whole, so that a reboot needs no registry."""
    watchdog: str = "none"
    """Which watchdog the image carries (`junctiond.sandbox.plan.Watchdog`)."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Address and uid range of one sandbox, by slot number, and whose sandbox it is."""

    sandbox: str
    namespace: str
    name: str
    generation: int
    slot: int
    port: int
    launched_at_ns: int
    ready_at_ns: int = 0


Later = Callable[[float, Callable[[], None]], object]
"""Runs something after that many seconds."""

COMMIT_WITHIN_S = 0.01
"""What was deferred is committed after this."""


class Store:
    """The database; every method is one transaction, but for those that are deferred."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the database.

        Raises:
            StoreError: the file is no database of ours, or of a newer junctiond.
        """
        self._later: Later | None = None
        self._begun = False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            # What a power cut may take is only what a power cut makes meaningless (leases); see `_durable`.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{path} cannot be used ({error}); move it away to begin anew"
            ) from error

    def close(self) -> None:
        """Ends the connection; what was deferred is kept."""
        self._commit_now()
        self._db.close()

    def defer(self, later: Later) -> None:
        """From now on leases are committed in groups, `later` at most `COMMIT_WITHIN_S`; readers here see them at once."""
        self._later = later

    def commit(self) -> None:
        """Commits what was deferred.

        Raises:
            sqlite3.Error: it could not be stored, and is not.
        """
        if not self._begun:
            return
        self._begun = False
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _commit_now(self) -> None:
        """Nobody waits for these writes, and a daemon that starts without them sets right what they would have told."""
        try:
            self.commit()
        except sqlite3.Error as error:
            logger.error("leases not stored", extra={"fields": {"error": str(error)}})

    def _soon(self, statement: str, values: tuple[object, ...]) -> None:
        if self._later is not None and not self._begun:
            self._db.execute("BEGIN IMMEDIATE")
            self._begun = True
            self._later(COMMIT_WITHIN_S, self._commit_now)
        self._db.execute(statement, values)

    # Namespaces.

    def namespaces(self) -> list[Namespace]:
        """All namespaces by name."""
        rows = self._db.execute("SELECT name, labels, annotations FROM namespaces ORDER BY name")
        return [_namespace(row) for row in rows]

    def namespace(self, name: str) -> Namespace | None:
        """One namespace."""
        row = self._db.execute(
            "SELECT name, labels, annotations FROM namespaces WHERE name = ?", (name,)
        ).fetchone()
        return _namespace(row) if row else None

    def put_namespace(self, namespace: Namespace) -> None:
        """Adds or replaces a namespace."""
        with self._durable():
            self._db.execute(
                "INSERT INTO namespaces VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "labels = excluded.labels, annotations = excluded.annotations",
                (namespace.name, _json(namespace.labels), _json(namespace.annotations)),
            )

    def delete_namespace(self, name: str) -> None:
        """Removes an empty namespace."""
        with self._durable():
            self._db.execute("DELETE FROM namespaces WHERE name = ?", (name,))

    # Functions.

    def functions(self) -> list[FunctionRow]:
        """All functions by namespace and name."""
        rows = self._db.execute(
            "SELECT deployment, generation, replicas, created_at_ns, image, watchdog "
            "FROM functions ORDER BY namespace, name"
        )
        return [_function(row) for row in rows]

    def put_function(self, row: FunctionRow) -> None:
        """Adds or replaces a function."""
        deployment = row.deployment
        with self._durable():
            self._db.execute(
                "INSERT INTO functions VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (namespace, name) DO UPDATE SET generation = excluded.generation, "
                "replicas = excluded.replicas, deployment = excluded.deployment, "
                "image = excluded.image, watchdog = excluded.watchdog",
                (
                    deployment.namespace,
                    deployment.name,
                    row.generation,
                    row.replicas,
                    row.created_at_ns,
                    msgspec.json.encode(deployment),
                    msgspec.json.encode(row.image, enc_hook=str),
                    row.watchdog,
                ),
            )

    def set_replicas(self, namespace: str, name: str, replicas: int) -> None:
        """Sets the wanted replicas of a function; deferred, see `commit`."""
        self._soon(
            "UPDATE functions SET replicas = ? WHERE namespace = ? AND name = ?",
            (replicas, namespace, name),
        )

    def delete_function(self, namespace: str, name: str) -> None:
        """Removes a function; its leases stay until their sandboxes are gone."""
        with self._durable():
            self._db.execute(
                "DELETE FROM functions WHERE namespace = ? AND name = ?", (namespace, name)
            )

    # Leases.

    def leases(self) -> list[Lease]:
        """All leases by slot."""
        rows = self._db.execute(
            "SELECT sandbox, namespace, name, generation, slot, port, launched_at_ns, ready_at_ns "
            "FROM leases ORDER BY slot"
        )
        return [Lease(*row) for row in rows]

    def add_lease(self, lease: Lease) -> None:
        """Adds a lease; its slot must be free. Deferred."""
        self._soon(
            "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                lease.sandbox,
                lease.namespace,
                lease.name,
                lease.generation,
                lease.slot,
                lease.port,
                lease.launched_at_ns,
                lease.ready_at_ns,
            ),
        )

    def set_ready(self, sandbox: str, ready_at_ns: int) -> None:
        """Notes that a sandbox accepts connections: a restarted daemon keeps its route. Deferred."""
        self._soon("UPDATE leases SET ready_at_ns = ? WHERE sandbox = ?", (ready_at_ns, sandbox))

    def drop_lease(self, sandbox: str) -> None:
        """Gives the slot of a sandbox back. Deferred."""
        self._soon("DELETE FROM leases WHERE sandbox = ?", (sandbox,))

    def next_generation(self) -> int:
        """A number never given before, so that no sandbox can be taken for one of a later deployment."""
        self.commit()
        row = self._db.execute(
            "INSERT INTO counters VALUES ('generation', 1) "
            "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
        ).fetchone()
        return int(row[0])

    def _migrate(self, path: Path) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{path} is of schema {version}, this junctiond knows {SCHEMA_VERSION}: "
                "install the newer junctiond again"
            )
        for step in range(version + 1, SCHEMA_VERSION + 1):
            with self._transaction():
                for statement in _MIGRATIONS[step].split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {step}")
        if self.namespace(DEFAULT_NAMESPACE) is None:
            self.put_namespace(Namespace(DEFAULT_NAMESPACE))

    @contextmanager
    def _durable(self) -> Iterator[None]:
        """Writes that must survive a power cut: the answer to a caller rests on them."""
        self.commit()
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _path(kind: type, value: object) -> object:
    """msgspec knows no paths; `layers` is the only field that holds them."""
    return kind(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _namespace(row: tuple[str, str, str]) -> Namespace:
    name, labels, annotations = row
    decode = msgspec.json.decode
    return Namespace(
        name, decode(labels, type=dict[str, str]), decode(annotations, type=dict[str, str])
    )


def _function(row: tuple[bytes, int, int, int, bytes, str]) -> FunctionRow:
    deployment, generation, replicas, created_at_ns, image, watchdog = row
    return FunctionRow(
        deployment=msgspec.json.decode(deployment, type=Deployment),
        generation=generation,
        replicas=replicas,
        created_at_ns=created_at_ns,
        image=msgspec.json.decode(image, type=Image, dec_hook=_path),
        watchdog=watchdog,
    )
