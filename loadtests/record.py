"""The one definition of a benchmark's result record, and the file that keeps the latest of each figure.

The file is checked when it is read as well as when it is written, so that neither a hand edit nor an older version
of this module goes unnoticed.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loadtests import goals
from loadtests.machine import Machine
from loadtests.quantiles import paired_ratio, spread

LATEST = Path(__file__).parent / "results" / "latest.json"
SCHEMA = 1


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure of one benchmark.

    Attributes:
        benchmark: which run made it ("warm", "cold", "memory").
        figure: what was measured; its unit ends the name or is in `unit`.
        value: the median over `rounds`.
        baseline: what it is compared with ("bare", "bridge"), None where nothing compares.
        baseline_value: the baseline's median over the same rounds.
        ratio: the median over rounds of value / baseline of that round; None without a baseline.
        goal: the promised bound as text; None where nothing is promised.
        met: whether the goal is reached; None without a goal.
        commit: the tree that was measured, with "+dirty" where it had uncommitted changes.
        time: when the run ended, ISO 8601 UTC.
    """

    benchmark: str
    figure: str
    unit: str
    value: float
    baseline: str | None
    baseline_value: float | None
    ratio: float | None
    goal: str | None
    met: bool | None
    rounds: int
    commit: str
    machine: Machine
    time: str

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"{self.figure}: rounds must be at least 1")
        if (self.goal is None) != (self.met is None):
            raise ValueError(f"{self.figure}: goal and met come together")
        if self.baseline is None and (self.baseline_value, self.ratio) != (None, None):
            raise ValueError(f"{self.figure}: a ratio needs a named baseline")
        datetime.fromisoformat(self.time)

    @property
    def key(self) -> tuple[str, str, str]:
        """What a newer record replaces."""
        return (self.benchmark, self.figure, self.baseline or "")


class ResultFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `latest.json`: the newest record of each (benchmark, figure, baseline)."""

    schema: int
    records: tuple[Record, ...]


class Provenance(msgspec.Struct, frozen=True):
    """What all records of one run share."""

    commit: str
    machine: Machine
    time: str


def make(
    benchmark: str,
    figure: str,
    unit: str,
    values: Sequence[float],
    provenance: Provenance,
    *,
    baseline: str | None = None,
    baseline_values: Sequence[float] = (),
) -> Record:
    """A record from one value per round, with its goal looked up."""
    named = baseline if baseline_values else None
    value = spread(values).median
    ratio = paired_ratio(values, baseline_values) if named else None
    goal = goals.find(benchmark, figure, baseline or "")
    met = goal.met(value, ratio) if goal else None
    return Record(
        benchmark=benchmark,
        figure=figure,
        unit=unit,
        value=value,
        baseline=named,
        baseline_value=spread(baseline_values).median if named else None,
        ratio=ratio,
        goal=str(goal) if goal and met is not None else None,
        met=met,
        rounds=len(values),
        commit=provenance.commit,
        machine=provenance.machine,
        time=provenance.time,
    )


def merge(old: Iterable[Record], new: Iterable[Record]) -> tuple[Record, ...]:
    """The records with the newest of each key, ordered by key."""
    latest = {record.key: record for record in old}
    latest.update({record.key: record for record in new})
    return tuple(latest[key] for key in sorted(latest))


def load(path: Path = LATEST) -> tuple[Record, ...]:
    """The records in a result file; none where there is no file.

    Raises:
        ValueError: the file does not keep to the schema; the message names the file and the place in it.
    """
    if not path.exists():
        return ()
    try:
        content = msgspec.json.decode(path.read_bytes(), type=ResultFile)
    except msgspec.DecodeError as error:  # includes ValidationError
        raise ValueError(f"{path}: {error}; mend it or remove the file") from error
    if content.schema != SCHEMA:
        raise ValueError(f"{path}: schema {content.schema}, this program writes {SCHEMA}")
    return content.records


def append(new: Iterable[Record], path: Path = LATEST) -> tuple[Record, ...]:
    """Puts new records into a result file in place of older ones of the same key; returns all.

    Raises:
        ValueError: the file that is there does not keep to the schema. It is left as it was.
    """
    records = merge(load(path), new)
    encoded = msgspec.json.format(msgspec.json.encode(ResultFile(SCHEMA, records)), indent=1)
    msgspec.json.decode(encoded, type=ResultFile)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(encoded + b"\n")
    partial.replace(path)  # a reader sees the old file or the new one
    return records


def now_text() -> str:
    """The time as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
