"""Reads what functions wrote: the keepers' log files (docs/protocols.md, section 1), past and growing.

A function's folder holds one file per sandbox and, after a rotation, its forerunner `.log.1`. Following polls: a few
files per follower, quick while lines come and slower when they do not; it keeps its file open over a rotation, so
nothing is cut, and looks for new files, so it goes on when a replica is replaced.
"""

import asyncio
import heapq
import itertools
import os
import shutil
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

import msgspec

from junctiond.domain import LogQuery, LogRecord

LINE_BYTES_MAX: Final = 1024 * 1024
"""A line is joined from records up to this size, then handed on in parts: a guest need never write a newline."""
READ_BYTES: Final = 256 * 1024
BATCH: Final = 256
POLL_S_MIN: Final = 0.02
POLL_S_MAX: Final = 0.25
TAIL_MAX: Final = 100_000


class _Entry(msgspec.Struct, frozen=True):
    t: int
    s: str
    m: str
    p: bool = False


_decode = msgspec.json.Decoder(_Entry).decode
_STREAMS = {"out": "stdout", "err": "stderr"}


class Joiner:
    """Makes lines of records: `p` marks one that goes on in the next of its stream. Pure."""

    def __init__(self, name: str, namespace: str, instance: str) -> None:
        self._name = name
        self._namespace = namespace
        self._instance = instance
        self._begun: dict[str, tuple[int, list[str], int]] = {}

    def add(self, line: bytes) -> LogRecord | None:
        """The log line that this record completes; a damaged record is skipped."""
        try:
            entry = _decode(line)
        except msgspec.MsgspecError:
            return None
        begun_ns, parts, size = self._begun.pop(entry.s, (entry.t, [], 0))
        parts.append(entry.m)
        size += len(entry.m)
        if entry.p and size < LINE_BYTES_MAX:
            self._begun[entry.s] = (begun_ns, parts, size)
            return None
        stream = _STREAMS.get(entry.s, entry.s)
        text = "".join(parts)
        return LogRecord(self._name, self._namespace, self._instance, begun_ns, text, stream)


class Tail:
    """One sandbox's log, read from its beginning over any rotation. `close` it."""

    def __init__(self, path: Path, joiner: Joiner) -> None:
        self._path = path
        self._older = path.with_name(path.name + ".1")
        self._joiner = joiner
        self._rest = b""
        self._handle = _open(self._older) or _open(path)

    def close(self) -> None:
        """Gives the file back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def read(self) -> Iterator[LogRecord]:
        """Every line that is complete now and was not read before."""
        if self._handle is None:
            self._handle = _open(self._path)
        while self._handle is not None:
            chunk = os.read(self._handle, READ_BYTES)
            if chunk:
                yield from self._lines(chunk)
            elif not self._advance():
                return

    def _lines(self, chunk: bytes) -> Iterator[LogRecord]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            record = self._joiner.add(line)
            if record is not None:
                yield record

    def _advance(self) -> bool:
        """At the end of a file: goes on to the one that followed it, if one did."""
        assert self._handle is not None
        here = os.fstat(self._handle).st_ino
        newest, older = _inode(self._path), _inode(self._older)
        if newest is None or newest == here:
            return False
        # Where two rotations passed unseen, the forerunner of the newest comes first.
        following = self._path if older in (here, None) else self._older
        handle = _open(following)
        if handle is None:
            return False
        # Whatever was written between our last read and the rotation is still in the old file.
        if os.read(self._handle, 1):
            os.lseek(self._handle, -1, os.SEEK_CUR)
            os.close(handle)
            return True
        os.close(self._handle)
        self._handle = handle
        return True


class FunctionLogs:
    """The logs of all functions below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def read(
        self, query: LogQuery, exists: Callable[[], bool] = lambda: True
    ) -> AsyncGenerator[LogRecord, None]:
        """The lines that a query asks for, oldest first; with `follow` until `exists` says no.

        Args:
            query: names already checked.
            exists: whether the function is still deployed.
        """
        tails: dict[str, Tail] = {}
        try:
            self._open_new(query, tails)
            past = _past(list(tails.values()), query)
            while batch := await asyncio.to_thread(lambda: list(itertools.islice(past, BATCH))):
                for record in batch:
                    yield record
            if query.follow:
                async for record in self._follow(query, tails, exists):
                    yield record
        finally:
            for tail in tails.values():
                tail.close()

    def last_lines(self, namespace: str, name: str, sandbox: str, count: int) -> list[str]:
        """The newest lines of one sandbox, for an error message."""
        query = LogQuery(name, namespace, instance=sandbox, tail=count)
        tails: dict[str, Tail] = {}
        self._open_new(query, tails)
        try:
            return [record.text for record in _past(list(tails.values()), query)]
        finally:
            for tail in tails.values():
                tail.close()

    def prune(self, namespace: str, name: str, keep: int, living: AbstractSet[str]) -> None:
        """Removes the logs of all but the newest `keep` sandboxes that are gone."""
        try:
            # Names first and as text: this is done after each end of a sandbox, and mostly there is nothing to do.
            names = os.listdir(self._root / namespace / name)  # noqa: PTH208
        except FileNotFoundError:
            return
        ids = (one.removesuffix(".log") for one in names if one.endswith(".log"))
        gone = [sandbox for sandbox in ids if sandbox not in living]
        if len(gone) <= keep:
            return
        dead = [self._root / namespace / name / f"{sandbox}.log" for sandbox in gone]
        dead.sort(key=_modified_ns)
        for path in dead[: max(0, len(dead) - keep)]:
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".1").unlink(missing_ok=True)

    def delete(self, namespace: str, name: str, sandboxes: set[str] | None = None) -> None:
        """Removes the logs of a function: all, or (its name belongs to another now) those of some sandboxes."""
        if sandboxes is None:
            shutil.rmtree(self._root / namespace / name, ignore_errors=True)
            return
        for path in self._files(namespace, name):
            if path.stem in sandboxes:
                path.unlink(missing_ok=True)
                path.with_name(path.name + ".1").unlink(missing_ok=True)

    async def _follow(
        self, query: LogQuery, tails: dict[str, Tail], exists: Callable[[], bool]
    ) -> AsyncGenerator[LogRecord, None]:
        pause_s = POLL_S_MIN
        while True:
            # Asked before reading: what was written before the function went is still told.
            last = not exists()
            self._open_new(query, tails)
            quiet = True
            for tail in list(tails.values()):
                for record in tail.read():
                    if record.timestamp_ns >= query.since_ns:
                        quiet = False
                        yield record
            if last:
                return
            pause_s = min(pause_s * 1.5, POLL_S_MAX) if quiet else POLL_S_MIN
            await asyncio.sleep(pause_s)

    def _open_new(self, query: LogQuery, tails: dict[str, Tail]) -> None:
        for path in self._files(query.namespace, query.name):
            instance = path.stem
            if instance not in tails and query.instance in ("", instance):
                tails[instance] = Tail(path, Joiner(query.name, query.namespace, instance))

    def _files(self, namespace: str, name: str) -> list[Path]:
        folder = self._root / namespace / name
        try:
            return sorted(path for path in folder.iterdir() if path.suffix == ".log")
        except FileNotFoundError:
            return []


def _past(tails: list[Tail], query: LogQuery) -> Iterator[LogRecord]:
    """What is written already, by time over all replicas, each replica's lines in its own order."""
    merged = heapq.merge(*(tail.read() for tail in tails), key=lambda one: one.timestamp_ns)
    wanted = (record for record in merged if record.timestamp_ns >= query.since_ns)
    return iter(deque(wanted, min(query.tail, TAIL_MAX))) if query.tail > 0 else wanted


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
