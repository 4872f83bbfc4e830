"""Make the latency tables from splitwise-sim's perf_model.csv.

    python -m tools.profiles.splitwise_tables path/to/perf_model.csv inference/models/data

Writes one table of medians for each (model, gpu, tp), and the raw rows, gzipped, for the validation (SW11).
"""

import argparse
import csv
import gzip
import statistics
from collections import defaultdict
from pathlib import Path

from tools.profiles.heading import heading

SOURCE = "Mutinifni/splitwise-sim @ 8f99e7d, data/perf_model.csv"
MEDIANS = (
    "median of all rows with the same prompt_size * batch_size, as the published simulator takes it"
)
COPIED = "; not measured: the H100 rows with prompt time times 1.30 and token time as it is"
RAW = ("model", "hardware", "tensor_parallel", "prompt_size", "batch_size", "token_size")
RAW_TIMES = ("prompt_time", "token_time")


def _header(gpu: str, note: str) -> str:
    capped = gpu.endswith("-pcap")
    return heading(
        {
            "origin": "modelled" if capped else "measured",
            "by": "Splitwise authors (P. Patel and others), ISCA'24",
            "on": f"{gpu}, one machine of 8",
            "when": "2023",
            "source": SOURCE,
            "licence": "MIT",
            "note": note + (COPIED if capped else ""),
        }
    )


def write_tables(rows: list[dict[str, str]], folder: Path) -> None:
    """One file of medians for each (model, gpu, tp)."""
    groups: dict[tuple[str, str, int], dict[int, list[tuple[float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        key = (row["model"], row["hardware"], int(row["tensor_parallel"]))
        tokens = int(row["prompt_size"]) * int(row["batch_size"])
        groups[key][tokens].append((float(row["prompt_time"]), float(row["token_time"])))
    for (model, gpu, tp), by_tokens in sorted(groups.items()):
        lines = [_header(gpu, MEDIANS), "batch_tokens,prompt_ms,token_ms,repeats\n"]
        for tokens, times in sorted(by_tokens.items()):
            prompt_ms = statistics.median(prompt for prompt, _ in times)
            token_ms = statistics.median(token for _, token in times)
            lines.append(f"{tokens},{prompt_ms!r},{token_ms!r},{len(times)}\n")
        (folder / f"table_{model}_{gpu}_tp{tp}.csv").write_text("".join(lines), encoding="utf-8")


def write_raw(rows: list[dict[str, str]], folder: Path) -> None:
    """The measured rows (no capped ones), only the columns that latency depends on."""
    measured = [row for row in rows if not row["hardware"].endswith("-pcap")]
    names = (
        "model",
        "gpu",
        "tp",
        "prompt_tokens",
        "batch",
        "output_tokens",
        "prompt_ms",
        "token_ms",
    )
    lines = [_header("a100-80gb and h100-80gb", "all measured rows, in the order published")]
    lines.append(",".join(names) + "\n")
    lines += [",".join(row[name] for name in (*RAW, *RAW_TIMES)) + "\n" for row in measured]
    data = gzip.compress("".join(lines).encode(), compresslevel=9, mtime=0)
    (folder / "splitwise_rows.csv.gz").write_bytes(data)


def main() -> None:
    """Read the published file and write ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("published", type=Path, help="perf_model.csv of splitwise-sim")
    parser.add_argument("folder", type=Path, help="inference/models/data")
    arguments = parser.parse_args()
    with arguments.published.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    write_tables(rows, arguments.folder)
    write_raw(rows, arguments.folder)


if __name__ == "__main__":
    main()
