"""Goal: no figure of power changes by accident.

Method: tests/golden/power.csv, watts of a replica's GPUs. A change on purpose writes the file anew with

    python -m tests.unit.inference.power.test_golden

and its diff is explained in the commit.
"""

import csv
import io
from pathlib import Path

from inference.models.catalog import GPUS, MODELS
from inference.models.power import power_model

GOLDEN = Path(__file__).parents[3] / "golden" / "power.csv"
REPLICAS = (
    ("a100-80gb", "bloom-176b", 8),
    ("a100-80gb", "llama2-70b", 2),
    ("a100-80gb", "llama2-70b", 4),
    ("a100-80gb", "llama2-70b", 8),
    ("a100-80gb", "llama2-7b", 1),
    ("h100-80gb", "bloom-176b", 8),
    ("h100-80gb", "llama2-70b", 2),
    ("h100-80gb", "llama2-70b", 4),
    ("h100-80gb", "llama2-70b", 8),
    ("h100-80gb", "llama3.1-8b", 1),
    ("h100-80gb-pcap", "bloom-176b", 8),
    ("v100-32gb", "llama2-7b", 1),
)
SHARES = (1.0, 0.8, 0.6, 0.4)
BATCHES = (1, 16, 64, 512)
TOKENS = (128, 512, 2048, 8192)


def table() -> str:
    """Power at shares of the highest clock; four significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    decodes = [f"decode_{batch}_w" for batch in BATCHES]
    prefills = [f"prefill_{tokens}_w" for tokens in TOKENS]
    writer.writerow(["gpu", "model", "tp", "clock_mhz", "idle_w", *decodes, *prefills])
    for gpu, model, tp in REPLICAS:
        full = power_model(MODELS[model], GPUS[gpu], tp)
        for share in SHARES:
            clock = round(share * full.clock_mhz_max)
            power = full.at_clock(clock)
            watts = [power.idle_w]
            watts += [power.decode_w(batch, 0) for batch in BATCHES]
            watts += [power.prefill_mean_w(tokens) for tokens in TOKENS]
            writer.writerow([gpu, model, tp, clock, *(f"{one:.4g}" for one in watts)])
    return text.getvalue()


def test_power_is_as_it_was():
    assert table().splitlines() == GOLDEN.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    GOLDEN.write_text(table(), encoding="utf-8")
