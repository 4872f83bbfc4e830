"""Goal: on the same table, rules and trace, every request takes the time that splitwise-sim gave it (compat mode).

No tie is broken differently, so all requests are compared, one by one. tests/golden/splitwise_sim says where the answers
come from. They are rounded to microseconds.
"""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from inference.results.run import Status
from inference.scenarios.build import simulate
from inference.scenarios.loader import load

ANSWERS = Path(__file__).resolve().parents[2] / "golden" / "splitwise_sim"
RUNS = (
    "baseline-h100-conv30",
    "hh-conv30",
    "baseline-h100-conv70",
    "hh-conv70",
    "baseline-a100-conv70",
)
PERCENTILES = (50, 90, 99)
# Its clock is a float in seconds, ours an integer of nanoseconds: a run of iterations is rounded once here, never there.
ROUNDING = 1e-4


def answers(name: str) -> dict[str, np.ndarray]:
    with gzip.open(ANSWERS / f"{name}.csv.gz", "rt", newline="") as text:
        rows = list(csv.DictReader(text))
    return {column: np.array([int(row[column]) for row in rows]) for column in rows[0]}


def test_the_answers_are_of_five_runs():
    """A golden file that nobody compares with would be no check."""
    assert sorted(path.name for path in ANSWERS.glob("*.csv.gz")) == sorted(
        f"{name}.csv.gz" for name in RUNS
    )


@pytest.mark.parametrize("name", RUNS)
def test_every_request_is_as_splitwise_sim_says(name):
    golden = answers(name)
    requests = simulate(load(f"golden-{name}.toml")).requests
    assert (requests.status == Status.COMPLETED).all()
    ours = {
        "ttft_us": requests.first_token_ns - requests.arrival_ns,
        "e2e_us": requests.completion_ns - requests.arrival_ns,
        "queue_us": requests.prefill_start_ns - requests.arrival_ns,
    }
    for column, times_ns in ours.items():
        assert len(times_ns) == len(golden[column])
        np.testing.assert_allclose(
            times_ns / 1000, golden[column], rtol=ROUNDING, atol=2.0, err_msg=column
        )
        for percentile in PERCENTILES:
            expected = np.percentile(golden[column], percentile)
            assert np.percentile(times_ns / 1000, percentile) == pytest.approx(
                expected, rel=ROUNDING, abs=2.0
            )
