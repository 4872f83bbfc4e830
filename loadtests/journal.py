"""Every value of every round of a run, in a file that is written as the rounds end.

A run that is killed loses the round under way and no other: `python -m loadtests.report FOLDER` makes of the file what the
run would have made.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from loadtests.ledger import LATEST, Known
from loadtests.mark import Mark, Scope
from loadtests.record import Provenance, Subject
from loadtests.series import Rounds, Series

FILE = "rounds.json"
RAW = LATEST.parent / "raw"
SCHEMA = 1


class Values(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure of one target, by round."""

    benchmark: str
    subject: Subject
    target: str
    figure: str
    rounds: Rounds


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run so far.

    Attributes:
        complete: whether the run came to its end.
        seed: of the order within the rounds.
        baselines: what records stand beside, in that order.
        replaced: what the run measures as a whole (`loadtests.ledger.merge`).
        facts: what else belongs to the run: sizes, versions, shares of stolen time.
    """

    schema: int
    complete: bool
    seed: int
    baselines: tuple[str, ...]
    replaced: tuple[Scope, ...]
    provenance: Provenance
    series: tuple[Values, ...]
    marks: tuple[Mark, ...]
    facts: dict[str, object]

    @property
    def known(self) -> Known:
        """The records of all rounds that ended, and the marks."""
        records = [
            one
            for series in _series(self.series)
            for one in series.records(self.baselines, self.provenance)
        ]
        return Known(tuple(records), self.marks)


def values(series: Iterable[Series]) -> tuple[Values, ...]:
    """Series as a journal keeps them."""
    return tuple(
        Values(one.benchmark, one.subject, target, figure, rounds)
        for one in series
        for (target, figure), rounds in one.values.items()
    )


def _series(kept: Sequence[Values]) -> list[Series]:
    made: dict[tuple[str, Subject], Series] = {}
    for one in kept:
        key = (one.benchmark, one.subject)
        series = made.setdefault(key, Series(*key))
        series.values[one.target, one.figure] = dict(one.rounds)
    return list(made.values())


def write(journal: Journal, folder: Path) -> Path:
    """Puts a run's file into its folder, in place of the one of the round before; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(journal), indent=1) + b"\n")
    partial.replace(path)  # whoever is killed meanwhile leaves the file before
    return path


def read(folder: Path) -> Journal:
    """A run's file.

    Raises:
        ValueError: there is none, or it is not of this program's making; the message says which.
    """
    path = folder / FILE
    try:
        journal = msgspec.json.decode(path.read_bytes(), type=Journal)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; runs are below {RAW}") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}; it was written by another version") from error
    if journal.schema != SCHEMA:
        raise ValueError(f"{path}: schema {journal.schema}, this program reads {SCHEMA}")
    return journal


@contextmanager
def outliving(keep: Callable[[], None], folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keeps the rounds that ended when the block does not end, also by Ctrl-C and SIGTERM: they are worth their time."""
    try:
        yield
    except BaseException:
        keep()
        say(f"python -m loadtests.report {folder} shows the rounds that ended")
        raise
