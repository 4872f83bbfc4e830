"""Goal: no trace changes by accident, and splitwise-sim's are drawn bit by bit.

Method: tests/golden/traces.csv. Its azure and splitwise-sim rows were computed from the original files (Azure's CSVs, the
output of splitwise-sim's own generator with NumPy seed 0), never from what is tested here.
"""

import csv
import hashlib
from pathlib import Path

import pytest

from inference.traces.azure import azure_2023
from inference.traces.mix import CONVERSATION_1H, class_mix
from inference.traces.poisson import resampled
from inference.traces.week import week_trace

GOLDEN = Path(__file__).parents[3] / "golden" / "traces.csv"
MONDAY_S = 259_200

MADE = {
    "azure-code-2023": lambda: azure_2023("code"),
    "azure-conv-2023": lambda: azure_2023("conv"),
    "splitwise-sim-conv-30": lambda: resampled(azure_2023("conv"), 30, 120, 0),
    "splitwise-sim-conv-70": lambda: resampled(azure_2023("conv"), 70, 120, 0),
    "splitwise-sim-code-70": lambda: resampled(azure_2023("code"), 70, 120, 0),
    "week-conv-monday": lambda: week_trace(
        "conv", 1, scale=0.01, start_s=MONDAY_S, end_s=MONDAY_S + 86_400
    ),
    "week-code": lambda: week_trace("code", 1, scale=0.001),
    "mix-conversation": lambda: class_mix(CONVERSATION_1H, 5, 600, 1),
}


def golden():
    with GOLDEN.open(newline="") as file:
        return {row["trace"]: row for row in csv.DictReader(file)}


def fingerprint(trace):
    digest = hashlib.sha256()
    for column in (trace.arrival_ns, trace.prompt_tokens, trace.output_tokens):
        digest.update(column.astype("<i8").tobytes())
    return {
        "requests": str(len(trace)),
        "last_arrival_ns": str(trace.duration_ns),
        "prompt_tokens": str(trace.prompt_tokens.sum()),
        "output_tokens": str(trace.output_tokens.sum()),
        "sha256": digest.hexdigest(),
    }


@pytest.mark.parametrize("name", MADE)
def test_trace_is_as_it_was(name):
    wanted = golden()[name]
    assert {"trace": name, **fingerprint(MADE[name]())} == wanted


def test_every_golden_trace_is_made():
    assert set(golden()) == set(MADE)


def test_another_seed_makes_another_trace():
    """The fingerprint would be of no use if it were the same for anything."""
    changed = fingerprint(resampled(azure_2023("conv"), 30, 120, 1))
    assert changed["sha256"] != golden()["splitwise-sim-conv-30"]["sha256"]
