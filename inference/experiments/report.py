"""docs/reproduction.md from the outcomes of all experiments. Nothing in it is written by hand; a test compares."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from inference.experiments.outcome import Target
from inference.models.provenance import Origin


@dataclass(frozen=True, slots=True)
class Reproduction:
    """All outcomes of one paper.

    Attributes:
        paper: whose.
        targets: in order.
    """

    paper: str
    targets: tuple[Target, ...]


HEAD = """# Reproduction

What the papers say and what this simulator finds. Made by `make reproduce`; do not edit: a test compares this page with
`docs/reproduction.json`, and every verdict follows from the figures and the bounds beside them.

**Measured**, **modelled** and **quoted** are never mixed: "ours" is as good as the weakest profile under it, and a
simulation is modelled. `table` mode reckons with the published table by splitwise-sim's rules; `context` mode knows
contexts and clocks. A red line says in its last column what is known of the reason.
"""


def markdown(papers: Sequence[Reproduction], seconds: float, commit: str) -> str:
    """The whole page."""
    everything = [target for one in papers for target in one.targets]
    met = sum(target.met for target in everything)
    lines = [HEAD]
    lines.append(f"{met} of {len(everything)} green; {seconds:.0f} s of CPU; tree {commit}.\n")
    for one in papers:
        green = sum(target.met for target in one.targets)
        lines.append(f"## {one.paper}\n")
        lines.append(f"{green} of {len(one.targets)} green.\n")
        lines.append(
            "| target | what | paper | ours | judged by | verdict | scenario | seed | CPU s | is | note |"
        )
        lines.append("|---|---|---|---|---|---|---|---|---|---|---|")
        lines.extend(_row(target) for target in one.targets)
        lines.append("")
    return "\n".join(lines)


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


def to_json(papers: Iterable[Reproduction], seconds: float, commit: str) -> str:
    """Every figure with all its digits; NaN and infinite bounds as null."""
    document = {
        "commit": commit,
        "cpu_s": seconds,
        "papers": [
            {
                "paper": one.paper,
                "targets": [
                    {key: _plain(value) for key, value in asdict(target).items()}
                    | {"met": target.met}
                    for target in one.targets
                ],
            }
            for one in papers
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> tuple[list[Reproduction], float, str]:
    """What `to_json` wrote."""
    document = json.loads(text)
    papers = [
        Reproduction(one["paper"], tuple(_target(values) for values in one["targets"]))
        for one in document["papers"]
    ]
    return papers, document["cpu_s"], document["commit"]


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
