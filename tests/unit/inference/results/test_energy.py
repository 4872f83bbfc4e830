"""Goal: joules, watts and GPU hours follow from the columns, and are no number without data."""

import dataclasses
import math

import numpy as np
import pytest

from inference.results.energy import energy_of
from inference.results.run import Status
from tests.support.runs import floats, one_request, run_of, with_status


def test_energy_of_one_request_by_hand():
    # 2 s, two replicas of 8 GPUs, 3,600 J, of which 300 J are the request's.
    told = energy_of(one_request())
    assert told.gpu_energy_j == 3600
    assert told.gpu_energy_wh == 1
    assert told.gpu_energy_j_per_output_token == 3600 / 11
    assert told.gpu_energy_j_per_token == 3600 / 1011
    assert told.gpu_energy_wh_per_request == 1
    assert told.idle_energy_share == 3300 / 3600
    assert told.power_w_mean == 1800
    assert told.gpus_mean == 16
    assert told.gpu_h == pytest.approx(16 * 2 / 3600)
    # Both replicas are busy for half of their time, the second for a quarter each of decode, mixed.
    assert told.idle_time_share == 0.5
    prefill, decode = told.pools
    assert (prefill.name, decode.name) == ("prefill", "decode")
    assert (prefill.prefill_time_share, prefill.idle_time_share) == (0.5, 0.5)
    assert (decode.decode_time_share, decode.mixed_time_share) == (0.25, 0.25)
    assert (prefill.gpu_energy_j, decode.gpu_energy_j) == (1200, 2400)


def test_pools_add_up_to_the_whole():
    told = energy_of(run_of(1000))
    assert sum(one.gpu_energy_wh for one in told.pools) == pytest.approx(told.gpu_energy_wh)
    assert sum(one.gpu_h for one in told.pools) == pytest.approx(told.gpu_h)
    for pool in told.pools:
        shares = (
            pool.prefill_time_share,
            pool.decode_time_share,
            pool.mixed_time_share,
            pool.idle_time_share,
        )
        assert sum(shares) == pytest.approx(1)


def test_idle_time_is_weighted_by_gpus():
    run = one_request()
    replicas = dataclasses.replace(
        run.replicas, tp=np.array([2, 6]), prefill_ns=run.replicas.stopped_ns
    )
    replicas = dataclasses.replace(
        replicas, prefill_ns=np.array([2_000_000_000, 0]), decode_ns=np.array([0, 0])
    )
    replicas = dataclasses.replace(replicas, mixed_ns=np.array([0, 0]))
    assert energy_of(dataclasses.replace(run, replicas=replicas)).idle_time_share == 0.75


def test_power_percentiles_are_of_the_series():
    run = run_of(100)
    told = energy_of(run)
    assert run.series is not None
    assert told.power_w_p99 == pytest.approx(np.percentile(run.series.power_w, 99))
    assert told.power_w_max == run.series.power_w.max()
    without = energy_of(dataclasses.replace(run, series=None))
    assert math.isnan(without.power_w_p99)
    assert without.power_w_mean == told.power_w_mean


def test_only_completed_tokens_are_worth_energy():
    run = with_status(run_of(2), r0=Status.UNFINISHED)
    told = energy_of(run)
    tokens = int(run.requests.output_tokens[1])
    assert told.gpu_energy_j_per_output_token == pytest.approx(told.gpu_energy_j / tokens)


def test_energy_that_no_request_was_given_is_not_called_idle():
    told = energy_of(one_request(energy_j=floats(0.0)))
    assert math.isnan(told.idle_energy_share)


def test_without_requests_ratios_are_no_numbers():
    told = energy_of(run_of(0))
    assert math.isnan(told.gpu_energy_j_per_output_token)
    assert told.gpu_h > 0


def test_a_pool_without_a_name_has_its_number():
    run = dataclasses.replace(one_request(), pools=("all",))
    assert [one.name for one in energy_of(run).pools] == ["all", "pool 1"]


def test_a_run_without_a_power_model_has_no_energy_instead_of_none():
    run = run_of(3)
    free = dataclasses.replace(run.replicas, energy_j=floats(0.0, 0.0))
    told = energy_of(dataclasses.replace(run, replicas=free))
    for name in ("gpu_energy_j", "gpu_energy_j_per_token", "power_w_mean", "power_w_p99"):
        assert math.isnan(getattr(told, name))
    assert math.isnan(told.pools[0].gpu_energy_wh)
    assert told.gpu_h > 0
