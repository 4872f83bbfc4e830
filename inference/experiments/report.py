"""docs/reproduction.md from the outcomes of all experiments. Nothing in it is written by hand; a test compares."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from inference.experiments.outcome import Target
from inference.models.provenance import Origin


@dataclass(frozen=True, slots=True)
class Reproduction:
    """All outcomes of one experiment.

    Attributes:
        paper: whose targets.
        experiment: name in the catalogue.
        commit: the tree that was run, with "+dirty" where inference had uncommitted changes.
        targets: in order.
    """

    paper: str
    experiment: str
    commit: str
    targets: tuple[Target, ...]


HEAD = """# Reproduction

What the papers say and what this simulator finds. Made by `make reproduce`; do not edit: a test compares this page with
`docs/reproduction.json`, and every verdict follows from the figures and the bounds beside them.

**Measured**, **modelled** and **quoted** are never mixed: "ours" is as good as the weakest profile under it, and a
simulation is modelled. A *quoted* row puts a constant of the paper beside itself: a check of consistency, no reproduction.
`table` mode reckons with the published table by splitwise-sim's rules; `context` mode knows contexts and clocks. A red line
says in its last column what is known of the reason.
"""


def markdown(done: Sequence[Reproduction]) -> str:
    """The whole page."""
    everything = [target for one in done for target in one.targets]
    met = sum(target.met for target in everything)
    seconds = sum(target.cpu_s for target in everything)
    trees = ", ".join(dict.fromkeys(one.commit for one in done))
    lines = [HEAD]
    lines.append(f"{met} of {len(everything)} green; {seconds:.0f} s of CPU; tree {trees}.\n")
    for paper in dict.fromkeys(one.paper for one in done):
        targets = [target for one in done if one.paper == paper for target in one.targets]
        lines.append(f"## {paper}\n")
        lines.append(f"{sum(target.met for target in targets)} of {len(targets)} green.\n")
        lines.append(
            "| target | what | paper | ours | judged by | verdict | scenario | seed | CPU s | is | note |"
        )
        lines.append("|---|---|---|---|---|---|---|---|---|---|---|")
        lines.extend(_row(target) for target in targets)
        lines.append("")
    return "\n".join(lines)


def merged(before: Sequence[Reproduction], now: Sequence[Reproduction]) -> list[Reproduction]:
    """Outcomes of earlier runs with those of experiments that were run again in their places."""
    fresh = {one.experiment: one for one in now}
    kept = [fresh.pop(one.experiment, one) for one in before]
    return [*kept, *fresh.values()]


def _row(target: Target) -> str:
    verdict = "green" if target.met else "**red**"
    cells = (
        target.id,
        target.what,
        target.paper,
        f"{number(target.ours)} {target.unit}",
        target.bound,
        verdict,
        f"`{target.scenario}`",
        str(target.seed),
        f"{target.cpu_s:.1f}",
        target.provenance.value,
        target.note,
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def number(value: float) -> str:
    """Three significant digits, whole numbers whole."""
    if math.isnan(value):
        return "none"
    if value == round(value) and abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def to_json(done: Iterable[Reproduction]) -> str:
    """Every figure with all its digits; NaN and infinite bounds as null."""
    document = [
        {
            "paper": one.paper,
            "experiment": one.experiment,
            "commit": one.commit,
            "targets": [
                {key: _plain(value) for key, value in asdict(target).items()} | {"met": target.met}
                for target in one.targets
            ],
        }
        for one in done
    ]
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> list[Reproduction]:
    """What `to_json` wrote."""
    return [
        Reproduction(
            one["paper"],
            one["experiment"],
            one["commit"],
            tuple(_target(values) for values in one["targets"]),
        )
        for one in json.loads(text)
    ]


def _target(values: dict[str, object]) -> Target:
    made = {key: value for key, value in values.items() if key != "met"}
    made["provenance"] = Origin(str(made["provenance"]))
    for key, absent in (("ours", math.nan), ("low", -math.inf), ("high", math.inf)):
        if made[key] is None:
            made[key] = absent
    return Target(**made)  # type: ignore[arg-type]


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
