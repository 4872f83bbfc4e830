"""Goal: a change of behaviour is a readable diff, and no change is none."""

import dataclasses

import pytest

from inference.errors import InputError
from inference.results.golden import golden_difference, golden_text, write_golden
from tests.support.runs import one_request, run_of, whole

FIGURES = ("completed", "ttft_ms_p50", "e2e_ms_p99", "gpu_energy_wh")


def test_a_table_is_aligned():
    runs = {("jsq", 70.0): whole(one_request()), ("round robin", 7.5): whole(one_request())}
    assert golden_text("one request, seed 7", runs, FIGURES) == (
        "# one request, seed 7\n"
        "policy       rate_rps  completed  ttft_ms_p50  e2e_ms_p99  gpu_energy_wh\n"
        "jsq                70          1          200         650              1\n"
        "round robin       7.5          1          200         650              1\n"
    )


def test_the_same_run_makes_no_difference(tmp_path):
    path = tmp_path / "golden" / "jsq.txt"
    write_golden(path, golden_text("t", {("jsq", 70.0): whole(run_of(500))}))
    assert golden_difference(path, golden_text("t", {("jsq", 70.0): whole(run_of(500))})) == ""


def test_a_changed_figure_is_a_line_of_the_diff(tmp_path):
    path = tmp_path / "jsq.txt"
    told = whole(one_request())
    write_golden(path, golden_text("t", {("jsq", 70.0): told, ("rr", 70.0): told}, FIGURES))
    slower = dataclasses.replace(told, completed=0)
    changed = golden_text("t", {("jsq", 70.0): told, ("rr", 70.0): slower}, FIGURES)
    lines = golden_difference(path, changed).splitlines()
    assert [line for line in lines if line[0] in "+-" and line[1] != line[0]] == [
        "-rr            70          1          200         650              1",
        "+rr            70          0          200         650              1",
    ]


def test_noise_below_four_digits_is_not_a_change():
    told = whole(one_request())
    noisy = dataclasses.replace(told, throughput_rps=told.throughput_rps * (1 + 1e-9))
    assert golden_text("t", {("a", 1.0): told}) == golden_text("t", {("a", 1.0): noisy})


def test_a_policy_name_cannot_break_the_table():
    assert len(golden_text("t\nu", {("a\nb", 1.0): whole(one_request())}).splitlines()) == 3


def test_figures_without_a_value_are_told_so():
    text = golden_text("t", {("a", 1.0): whole(run_of(0))}, ("ttft_ms_p50",))
    assert text.splitlines()[-1].split() == ["a", "1", "nan"]


def test_an_unknown_figure_is_a_mistake():
    with pytest.raises(KeyError):
        golden_text("t", {("a", 1.0): whole(one_request())}, ("nothing",))


def test_a_missing_golden_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="written by write_golden"):
        golden_difference(tmp_path / "none.txt", "")
