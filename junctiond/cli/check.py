"""`junctiond check`: the features of this machine as a table or as JSON."""

from collections.abc import Sequence

import msgspec
from rich.table import Table

from junctiond.cli.features import Feature, sufficient


def encode(features: Sequence[Feature]) -> bytes:
    """The features as JSON, with the verdict."""
    return msgspec.json.encode({"sufficient": sufficient(list(features)), "features": features})


def table(features: Sequence[Feature]) -> Table:
    """A row per feature; the mend stands where something is off."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("FEATURE", "", "WHY", "MEND"):
        shown.add_column(column, overflow="fold")
    for feature in features:
        mend = "" if feature.on else feature.mend
        shown.add_row(feature.name, _state(feature), feature.why, mend)
    return shown


def _state(feature: Feature) -> str:
    if feature.on:
        return "[green]on[/]"
    return "[bold red]OFF[/]" if feature.required else "[yellow]off[/]"
