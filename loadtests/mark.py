"""What went wrong or was disturbed in a measurement, kept beside the figures: a step that failed, a neighbour that worked."""

import msgspec

FAILED = "failed"
DISTURBED = "disturbed"
WORDS_MAX = 300
"""Of a reason: an error may quote a whole log."""


class Scope(msgspec.Struct, frozen=True):
    """What a mark or a record is of.

    Attributes:
        benchmark: the section ("warm", "cold", "faasd").
        subject: the function; empty: all of the section.
        placement: a value of `loadtests.placement.Placement`; empty where there is none.
    """

    benchmark: str
    subject: str = ""
    placement: str = ""

    def covers(self, other: "Scope") -> bool:
        """Whether a run that measured this measured the other anew."""
        same = (self.benchmark, self.placement) == (other.benchmark, other.placement)
        return same and other.subject in ("", self.subject)


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to know about a run.

    Attributes:
        kind: "failed": there is no figure. "disturbed": there is one, and another process worked meanwhile.
        target: which of the function's cells: a baseline's name, or the attachment that was wanted; empty: all.
        round: of the interleaved rounds, from 1; 0: before the first.
        step: which part of the visit ("closed loop with 8", "open loop").
        words: the reason.
        time: when, ISO 8601 UTC.
    """

    kind: str
    benchmark: str
    subject: str
    target: str
    placement: str
    round: int
    step: str
    words: str
    time: str

    def __post_init__(self) -> None:
        if self.kind not in (FAILED, DISTURBED):
            raise ValueError(f"a mark of kind {self.kind!r}")

    @property
    def scope(self) -> Scope:
        """What it is of."""
        return Scope(self.benchmark, self.subject, self.placement)

    def __str__(self) -> str:
        where = " ".join(part for part in (self.subject, self.target) if part) or self.benchmark
        when = f", round {self.round}" if self.round else ""
        return f"{where}: {self.step}{when}: {self.words}"


def shortened(words: str) -> str:
    """A reason as one line of a table."""
    line = " ".join(words.split())
    return line if len(line) <= WORDS_MAX else f"{line[: WORDS_MAX - 1]}…"
