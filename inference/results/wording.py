"""How figures and foreign names are written wherever a person reads them."""

import math

SIMULATED = (
    "origin is that of the profiles; all figures of a run are modelled: simulated from these"
)
"""Said wherever a run's profiles are listed, lest a measured profile make its run look measured."""


def numeral(value: float) -> str:
    """A number with four significant digits, a sign for never, a dash for no value."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    exponent = int(f"{value:.3e}".rpartition("e")[2])  # of the rounded value: 0.99999 is 1.000
    if not -4 <= exponent < 15:
        return f"{value:.3e}"
    return f"{value:,.{max(3 - exponent, 0)}f}"


def percent(share: float) -> str:
    """A share as percent with two decimals."""
    return "-" if math.isnan(share) else f"{share * 100:.2f} %"


def printable(name: str) -> str:
    """A foreign name on one line: control, format and broken characters are replaced.

    Names come from scenario files and traces; they must not steer a terminal, turn the direction of
    the text after them, or make a page invalid XML.
    """
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in name)
