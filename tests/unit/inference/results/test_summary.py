"""Goal: a summary holds every figure once, with its unit, and null for what it cannot know."""

import dataclasses
import json
import math

import pytest

from inference.results.comparison import HEADLINES, compare
from inference.results.run import Status
from inference.results.summary import summarise
from tests.support.runs import ints, one_request, run_of, whole, with_status


def test_one_request_by_hand():
    told = whole(one_request())
    figures = told.figures()
    assert figures["duration_s"] == 2
    assert figures["throughput_rps"] == 0.5
    assert figures["goodput_rps"] == 0.5
    assert figures["offered_rps"] == 1
    assert figures["output_tokens_per_s"] == 5.5
    assert figures["prompt_tokens_per_s"] == 500
    assert figures["ttft_ms_p99"] == 200
    assert figures["tpot_ms_mean"] == 45
    assert figures["second_token_ms_p50"] == 90
    assert figures["ttft_slowdown_p50"] == 2
    assert figures["gpu_energy_wh"] == 1
    assert figures["carbon_g"] == pytest.approx(0.4)
    assert figures["cost_usd"] == 12.5
    assert figures["slo_attainment"] == 1
    assert figures["class.L.slo_attainment"] == 1
    assert figures["pool.decode.gpu_energy_j"] == 2400
    assert figures["preemptions"] == 2
    assert "seed" not in figures


@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_any_number_of_requests_has_a_summary(count):
    told = whole(run_of(count))
    assert told.requests == told.completed == count
    back = json.loads(told.to_json())
    assert back["requests"] == count
    assert (back["latency"]["ttft_ms"]["p99"] is None) == (count == 0)
    assert back["slowdowns"]["held"] is False or count


def test_requests_that_failed_are_counted_apart():
    run = with_status(run_of(8), r0=Status.REFUSED, r1=Status.SQUASHED, r2=Status.UNFINISHED)
    told = whole(run)
    assert (told.completed, told.refused, told.squashed, told.unfinished) == (5, 1, 1, 1)
    assert told.latency.e2e_ms.count == 5
    assert told.attainment is not None
    assert told.attainment.slo_attainment <= 5 / 8


def test_a_run_in_which_nothing_completed():
    run = with_status(run_of(2), r0=Status.REFUSED, r1=Status.UNFINISHED)
    told = whole(run)
    assert told.throughput_rps == told.goodput_rps == 0
    assert json.loads(told.to_json())["slowdowns"]["ttft_slowdown"]["p50"] is None
    assert told.slowdowns is not None
    assert math.isinf(told.slowdowns.ttft_slowdown.p50)


def test_what_was_not_asked_for_is_null():
    back = json.loads(summarise(one_request()).to_json())
    assert back["attainment"] is None
    assert back["slowdowns"] is None
    assert back["goodput_rps"] is back["carbon_g"] is back["cost_usd"] is None
    assert back["energy"]["power_w_p99"] is None


def test_groups_are_told_where_there_are_several():
    told = summarise(run_of(200))
    assert [one.name for one in told.priorities] == ["high", "low"]
    assert sum(one.requests for one in told.priorities) == 200
    assert told.models == ()
    run = run_of(3)
    model = dataclasses.replace(run.requests, model=ints(0, 1, 2))
    named = summarise(dataclasses.replace(run, requests=model, models=("a", "b")))
    assert [one.name for one in named.models] == ["a", "b", "2"]


def test_figures_do_not_clash():
    """Every number of the JSON has a name of its own among the figures."""
    told = whole(run_of(300))

    def numbers(part):
        if isinstance(part, dict):
            return sum(numbers(one) for key, one in part.items() if key not in ("seed", "count"))
        if isinstance(part, list):
            return sum(numbers(one) for one in part)
        return not isinstance(part, bool | str | None)

    finite = [one for one in told.figures().values() if math.isfinite(one)]
    assert len(finite) == numbers(json.loads(told.to_json()))


def test_ratios_are_against_the_first_run():
    slow, quick = whole(run_of(50, name="slow")), whole(run_of(50, name="quick"))
    quick = dataclasses.replace(quick, throughput_rps=slow.throughput_rps * 2.15)
    told = compare(slow, quick)
    assert told.names == ("slow", "quick")
    assert told.ratio("throughput_rps") == pytest.approx(2.15)
    assert told.ratio("ttft_ms_p50") == 1
    with pytest.raises(KeyError):
        told.ratio("nothing")


def test_a_ratio_to_nothing_is_no_number():
    empty, some = whole(run_of(0)), whole(run_of(5))
    told = compare(empty, some)
    assert math.isnan(told.ratio("throughput_rps"))
    assert math.isnan(told.ratio("ttft_ms_p50"))
    figures = json.loads(told.to_json())["figures"]
    assert figures["ttft_ms_p50"]["ratios"] == [None, None]


def test_headlines_are_figures_that_exist():
    assert set(HEADLINES) <= set(whole(run_of(5)).figures())


def test_figures_that_no_run_has_are_left_out():
    told = compare(summarise(one_request()), summarise(one_request()))
    assert "goodput_rps" not in {row.figure for row in told.rows}
    everything = compare(summarise(one_request()), figures=())
    assert "latency" not in {row.figure for row in everything.rows}
    assert len(everything.rows) > len(told.rows)
