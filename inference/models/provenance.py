"""Where a figure comes from. Measured, modelled and quoted figures never mix, so every profile carries one of these."""

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """How a figure came to be.

    MEASURED: somebody ran it on the hardware that it is of, and says who, on what and when.
    MODELLED: computed from other figures by stated assumptions.
    QUOTED: printed in a paper or data sheet, not checked here.
    """

    MEASURED = "measured"
    MODELLED = "modelled"
    QUOTED = "quoted"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a profile's figures come from.

    Attributes:
        origin: the weakest of its parts: one modelled column makes the profile modelled.
        by: who measured it, or who made the model.
        on: the hardware and software that it is of.
        when: date or year; empty where unknown.
        source: data set, paper section or file that it was taken from, with its licence.
        note: assumptions and limits, in a sentence or two.
    """

    origin: Origin
    by: str
    on: str
    when: str
    source: str
    note: str = ""
