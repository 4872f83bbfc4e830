"""Makes tests/golden/splitwise_sim: what splitwise-sim answered for each request, in microseconds.

    python -m tools.profiles.splitwise_goldens FOLDER

FOLDER holds the simulator's `golden/<design>_<trace>.csv.gz` (its own per-request output, splitwise-sim @ 8f99e7d, MIT).
"""

import csv
import gzip
import sys
from pathlib import Path

OUTPUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "splitwise_sim"
RUNS = {
    "baseline-h100-conv30": "baseH40_rr_conv_30_2min",
    "hh-conv30": "hh25_15_rr_conv_30_2min",
    "baseline-h100-conv70": "baseH40_rr_conv_70_2min",
    "hh-conv70": "hh25_15_rr_conv_70_2min",
    "baseline-a100-conv70": "baseA70_rr_conv_70_2min",
}
COLUMNS = {"ttft_us": "ttft_times", "e2e_us": "response_times", "queue_us": "queue_times"}


def reduce(source: Path, target: Path) -> int:
    """Write one run's rows by request id; returns how many."""
    with gzip.open(source, "rt", newline="") as text:
        rows = {int(float(row["request_ids"])): row for row in csv.DictReader(text)}
    lines = [",".join(COLUMNS)]
    for request_id in range(len(rows)):
        row = rows[request_id]
        lines.append(",".join(str(round(float(row[name]) * 1e6)) for name in COLUMNS.values()))
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(("\n".join(lines) + "\n").encode())
    return len(rows)


def main() -> None:
    """Reduce every run."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, stem in RUNS.items():
        count = reduce(Path(sys.argv[1]) / f"{stem}.csv.gz", OUTPUT / f"{name}.csv.gz")
        print(f"{name}: {count} requests")


if __name__ == "__main__":
    main()
