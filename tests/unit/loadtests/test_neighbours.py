"""Goal: whoever else used the machine is named, and nobody who works for the measurement is."""

import os
import subprocess
import sys
import time

import pytest

from loadtests.neighbours import (
    TICKS_PER_S,
    MachineBusy,
    Neighbour,
    Process,
    busy,
    check,
    now,
    parse,
    watching,
)

STAT = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 0 0 0 150 50 9 9 20 0 1 0 12345 1 1"


def test_a_stat_line_whose_name_holds_anything():
    assert parse(STAT) == Process("a) b (c", 7, 200, 12345)


def process(parent: int, seconds: float, started: int = 1, name: str = "x") -> Process:
    return Process(name, parent, round(seconds * TICKS_PER_S), started)


def test_neighbours_are_those_outside_our_families():
    before = {1: process(0, 0), 10: process(1, 5), 20: process(1, 5), 21: process(20, 5)}
    after = {
        1: process(0, 0),
        10: process(1, 6, name="cargo"),
        20: process(1, 6),  # ours
        21: process(20, 6),  # below ours
        30: process(1, 0.3, started=9, name="rustc"),  # began meanwhile
        40: process(2, 9),  # the kernel's own
        50: process(1, 0.05, started=9),  # too little
    }
    found = busy(before, after, 2.0, {20})
    assert [(one.name, one.cores) for one in found] == [("cargo", 0.5), ("rustc", 0.15)]
    assert str(found[0]) == "cargo (10) took 0.50 cores"


def test_a_number_that_was_given_again_is_another_process():
    (found,) = busy({10: process(1, 500)}, {10: process(1, 1, started=7)}, 2.0, set())
    assert found.cores == 0.5


def test_what_runs_below_us_is_ours():
    with watching([]) as watch:
        subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
        deadline_s = time.process_time() + 0.1
        while time.process_time() < deadline_s:
            pass
    assert os.getpid() not in [one.pid for one in watch.found]
    assert os.getpid() in now()


def test_a_strict_run_does_not_begin_beside_others():
    said: list[str] = []
    check([], said.append, strict=True)
    check([Neighbour(7, "rustc", 0.5)], said.append, strict=False)
    assert said == ["not alone on this machine: rustc (7) took 0.50 cores"]
    with pytest.raises(MachineBusy, match=r"rustc \(7\).*--strict"):
        check([Neighbour(7, "rustc", 0.5)], said.append, strict=True)
