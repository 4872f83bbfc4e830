"""The file that keeps the latest of each figure, the goals as these meet them, and what there is to know about the runs.

It is checked when it is read as well as when it is written, so that neither a hand edit nor an older version of this
module goes unnoticed.
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from loadtests.mark import Mark, Scope
from loadtests.record import Record, judge

LATEST = Path(__file__).parent / "results" / "latest.json"
SCHEMA = 3
READABLE = (2, SCHEMA)
"""Schema 2 had no marks."""


class Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bound of one goal, and what the records of the file say about it; None where nothing was measured."""

    goal: str
    subject: str
    attachment: str
    placement: str
    figure: str
    bound: str
    stretch: str
    measured: float | None
    met: bool | None
    stretch_met: bool | None


class ResultFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `latest.json`: the newest record of each key, the goals as these meet them, and the runs' marks."""

    schema: int
    goals: tuple[Promise, ...]
    records: tuple[Record, ...]
    marks: tuple[Mark, ...] = ()


def promises(records: Iterable[Record]) -> tuple[Promise, ...]:
    """Every bound of every goal, with what was measured for it."""
    return tuple(
        Promise(
            goal=verdict.goal.name,
            subject=finding.subject,
            attachment=finding.bound.attachment,
            placement=finding.bound.placement,
            figure=finding.bound.figure,
            bound=str(finding.bound),
            stretch=finding.bound.text(finding.bound.stretch),
            measured=finding.measured,
            met=finding.met,
            stretch_met=finding.stretch_met,
        )
        for verdict in judge(records)
        for finding in verdict.findings
    )


class Known(NamedTuple):
    """What a result file holds, or what a run adds to it."""

    records: tuple[Record, ...] = ()
    marks: tuple[Mark, ...] = ()


def merge(old: Known, new: Known, replaced: Collection[Scope] = ()) -> Known:
    """The records with the newest of each key, ordered by key, and the marks that are still about one of them.

    What a run measured as a whole (`replaced`) leaves nothing of the same behind: an older record under another attachment,
    or of a cell that failed this time, would pass for a figure of this run.
    """
    kept = [one for one in old.records if not any(scope.covers(one.scope) for scope in replaced)]
    latest = {record.key: record for record in (*kept, *new.records)}
    again = {*replaced, *(one.scope for one in new.records), *(one.scope for one in new.marks)}
    marks = [one for one in old.marks if not any(scope.covers(one.scope) for scope in again)]
    return Known(tuple(latest[key] for key in sorted(latest)), (*marks, *new.marks))


def load(path: Path = LATEST) -> Known:
    """The records and marks in a result file; none where there is no file.

    Raises:
        ValueError: the file does not keep to the schema; the message names the file and the place in it.
    """
    if not path.exists():
        return Known()
    try:
        content = msgspec.json.decode(path.read_bytes(), type=ResultFile)
    except msgspec.DecodeError as error:  # includes ValidationError
        raise ValueError(f"{path}: {error}; mend it or remove the file") from error
    if content.schema not in READABLE:
        raise ValueError(f"{path}: schema {content.schema}, this program writes {SCHEMA}")
    return Known(content.records, content.marks)


def append(new: Known, path: Path = LATEST, replaced: Collection[Scope] = ()) -> Known:
    """Puts what a run found into a result file in place of what is older (`merge`); returns all.

    Raises:
        ValueError: the file that is there does not keep to the schema. It is left as it was.
    """
    known = merge(load(path), new, replaced)
    content = ResultFile(SCHEMA, promises(known.records), known.records, known.marks)
    encoded = msgspec.json.format(msgspec.json.encode(content), indent=1)
    msgspec.json.decode(encoded, type=ResultFile)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(encoded + b"\n")
    partial.replace(path)  # a reader sees the old file or the new one
    return known
