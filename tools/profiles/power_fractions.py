"""Make the A100 power profile from splitwise-sim's perf_model.csv.

    python -m tools.profiles.power_fractions path/to/perf_model.csv inference/models/data

Only the A100 rows carry power. Writes one row of medians for each (model, tp, prompt size, batch).
"""

import argparse
import csv
import statistics
from collections import defaultdict
from pathlib import Path

from tools.profiles.heading import heading

NOTE = (
    "medians of the rows that carry power, as fractions of TDP; peak is the prefill's (a lower bound where it is shorter "
    "than the meter's period), average is that of the whole run, which decodes for most of its time; the average of "
    "8192-token prompts of llama2-70b is that of a window which was mostly idle"
)


def main() -> None:
    """Read the published file and write ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("published", type=Path, help="perf_model.csv of splitwise-sim")
    parser.add_argument("folder", type=Path, help="inference/models/data")
    arguments = parser.parse_args()
    groups: dict[tuple[str, int, int, int], list[tuple[float, float]]] = defaultdict(list)
    with arguments.published.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            power = (float(row["peak_power"] or 0), float(row["average_power"] or 0))
            if row["hardware"] != "a100-80gb" or min(power) <= 0:
                continue
            sizes = (int(row["tensor_parallel"]), int(row["prompt_size"]), int(row["batch_size"]))
            groups[(row["model"], *sizes)].append(power)
    lines = [
        heading(
            {
                "origin": "measured",
                "by": "Splitwise authors (P. Patel and others), ISCA'24",
                "on": "a100-80gb, one machine of 8, GPU power",
                "when": "2023",
                "source": "Mutinifni/splitwise-sim @ 8f99e7d, data/perf_model.csv",
                "licence": "MIT",
                "note": NOTE,
            }
        ),
        "model,tp,prompt_tokens,batch,peak_fraction,average_fraction,repeats\n",
    ]
    for (model, tp, prompt, batch), powers in sorted(groups.items()):
        peak, average = (statistics.median(column) for column in zip(*powers, strict=True))
        lines.append(f"{model},{tp},{prompt},{batch},{peak:.6f},{average:.6f},{len(powers)}\n")
    (arguments.folder / "power_a100-80gb.csv").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
