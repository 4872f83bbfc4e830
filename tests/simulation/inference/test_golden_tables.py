"""Goal: every change of what a policy, a batch or a fault does is a readable diff of tests/golden/*.txt.

A change that is meant is kept by

    GOLDEN=write python -m pytest tests/simulation/inference/test_golden_tables.py

and committed with the tables, which say what it did. Figures have four digits, so that sums in another order are none.
"""

import os
from pathlib import Path

import pytest

from inference.policies.registry import ROUTING
from inference.results.golden import golden_difference, write_golden
from inference.scenarios.policies import BATCHING
from tests.simulation.inference.behaviour import TABLES, VARIANTS, same

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
WRITES = os.environ.get("GOLDEN") == "write"


def names(table: str) -> set[str]:
    """First words of the rows of a kept table."""
    lines = (GOLDEN / f"{table}.txt").read_text().splitlines()[2:]
    return {line.split()[0].rstrip(",") for line in lines}


@pytest.mark.parametrize("table", TABLES)
def test_nothing_behaves_otherwise_than_kept(table):
    text = TABLES[table](same)
    if WRITES:
        write_golden(GOLDEN / f"{table}.txt", text)
    difference = golden_difference(GOLDEN / f"{table}.txt", text)
    assert not difference, f"\n{difference}"


def test_every_policy_is_in_a_table():
    assert names("policies") == set(ROUTING.names)
    assert set(VARIANTS) <= set(ROUTING.names)
    assert names("batching") == set(BATCHING.names)
