"""Makes inference/traces/data/ from a copy of the Azure LLM traces.

    python -m tools.profiles.azure_traces SOURCE_DIR

SOURCE_DIR holds the two 2023 CSV files of Azure's public data set, and what was digitised from the plots of its 2024
notebook: the week's requests per minute and the length distributions. Running it twice makes the same bytes.
"""

import argparse
import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference.traces.azure import read_azure

OUT = Path(__file__).resolve().parents[2] / "inference" / "traces" / "data"
SOURCE = "https://github.com/Azure/AzurePublicDataset at commit b469a11"
LICENCE = "CC-BY-4.0; credit: Azure Public Dataset, Microsoft"
# Rows of the 2024 week files, which are not in that repository; its notebook prints them.
WEEK_REQUESTS = {"code": 16_803_695, "conv": 27_303_999}
WEEK_BIN_MINUTES = 10


def write(name: str, about: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write one table with its provenance on top; gzip without a time, so that bytes depend on content alone."""
    lines = [f"# source: {SOURCE}", f"# licence: {LICENCE}", f"# changes: {about}"]
    lines += [",".join(header), *(",".join(str(cell) for cell in row) for row in rows)]
    data = ("\n".join(lines) + "\n").encode()
    path = OUT / name
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)
    print(f"{path.name}: {path.stat().st_size} bytes")


def write_2023(source: Path, service: str) -> None:
    """Arrivals as gaps in microseconds: the original's last digit, of 100 ns, is always 0."""
    trace = read_azure(source / f"AzureLLMInferenceTrace_{service}_2023.csv")
    arrival_us, rest = divmod(trace.arrival_ns, 1000)
    assert not rest.any()
    gaps = [int(arrival_us[0]), *(int(gap) for gap in arrival_us[1:] - arrival_us[:-1])]
    rows = zip(gaps, trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)
    about = "time stamps became gaps in microseconds since the row before; lengths unchanged"
    write(f"azure_{service}_2023.csv.gz", about, ["gap_us", "prompt_tokens", "output_tokens"], rows)


def write_week(source: Path) -> None:
    """Both services' rates side by side, scaled so that the week holds as many requests as the data set."""
    columns: list[list[str]] = []
    times: list[str] = []
    for service, requests in WEEK_REQUESTS.items():
        path = source / f"azure_llm_2024_week_{service}_rpm_digitised.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        times = [str(int(row["t_s"]) - WEEK_BIN_MINUTES * 30) for row in rows]
        drawn = sum(float(row["rpm_mid_calibrated"]) for row in rows) * WEEK_BIN_MINUTES
        columns += [
            [f"{float(row[key]) * requests / drawn:.2f}" for row in rows]
            for key in ("rpm_mid_calibrated", "rpm_low", "rpm_high")
        ]
    header = ["start_s"]
    header += [
        f"{service}_per_min{end}" for service in WEEK_REQUESTS for end in ("", "_low", "_high")
    ]
    about = (
        "requests per minute, digitised from the plots of AzureLLMInferenceDataset2024.ipynb in 10-minute bins, scaled"
        " to the known totals (code 16803695, conv 27303999); low and high are the line's ink; starts on Friday 2024-05-10"
    )
    write("azure_week_2024.csv.gz", about, header, zip(times, *columns, strict=True))


def write_lengths(source: Path) -> None:
    """Length distributions of 2024, as read off."""
    with (source / "azure_llm_2024_length_cdf_digitised.csv").open(encoding="utf-8") as file:
        rows = [
            (row["service"], row["which"], row["percentile"], row["tokens"])
            for row in csv.DictReader(file)
        ]
    about = "percentiles, digitised from the plots of the 2024 notebook: input to about 30 tokens, output to about 11"
    write("azure_lengths_2024.csv", about, ["service", "which", "percentile", "tokens"], rows)


def main() -> None:
    """Write all four tables."""
    parser = argparse.ArgumentParser(description="Make the committed tables of Azure's LLM traces.")
    parser.add_argument("source", type=Path)
    source = parser.parse_args().source
    OUT.mkdir(parents=True, exist_ok=True)
    for service in WEEK_REQUESTS:
        write_2023(source, service)
    write_week(source)
    write_lengths(source)


if __name__ == "__main__":
    main()
