"""Goal: each latency is what docs/metrics.md derives from the timestamps."""

import numpy as np
import pytest

from inference.results.run import Status
from inference.results.timings import completed, over_all
from tests.support.runs import MS, ints, one_request, requests_of, run_of, with_status


def test_latencies_of_one_request_by_hand():
    timings = completed(one_request().requests)
    assert timings.queue_ns.tolist() == [50 * MS]
    assert timings.ttft_ns.tolist() == [200 * MS]
    assert timings.e2e_ns.tolist() == [650 * MS]
    assert timings.tbt_ns.tolist() == [450 * MS / 11]
    assert timings.tpot_ns.tolist() == [45 * MS]
    assert timings.decode_wait_ns.tolist() == [50 * MS]
    assert timings.second_token_ns.tolist() == [90 * MS]
    assert timings.transfer_ns.tolist() == [20 * MS]
    assert timings.energy_j.tolist() == [300.0]


def test_one_token_has_a_first_token_and_no_gap():
    single = one_request(
        output_tokens=ints(1), decode_start_ns=ints(-1), completion_ns=ints(1200 * MS)
    )
    timings = completed(single.requests)
    assert timings.tbt_ns.tolist() == [0]
    assert timings.gap_ns.tolist() == [0]
    assert timings.tpot_ns.size == timings.second_token_ns.size == timings.decode_wait_ns.size == 0


def test_a_request_that_stayed_has_no_transfer():
    assert completed(one_request(decode_replica=ints(0)).requests).transfer_ns.size == 0
    assert completed(one_request(decode_replica=ints(-1)).requests).transfer_ns.size == 0


def test_a_transfer_that_hid_behind_the_prefill_counts_as_zero():
    assert completed(one_request(transfer_ns=ints(0)).requests).transfer_ns.tolist() == [0]


def test_a_driver_without_queue_times_has_none():
    assert completed(one_request(prefill_start_ns=ints(-1)).requests).queue_ns.size == 0


def test_only_completed_requests_have_latencies():
    run = with_status(run_of(6), r0=Status.REFUSED, r2=Status.UNFINISHED, r5=Status.SQUASHED)
    timings = completed(run.requests)
    assert timings.rows.tolist() == [1, 3, 4]
    assert np.isinf(over_all(timings, timings.ttft_ns)).tolist() == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]


def test_parts_of_e2e_add_up():
    timings = completed(requests_of(500))
    parts = timings.ttft_ns + timings.tbt_ns * timings.requests.output_tokens
    np.testing.assert_allclose(parts, timings.e2e_ns)


@pytest.mark.parametrize(
    "columns",
    [{"first_token_ns": ints(-1)}, {"first_token_ns": ints(999 * MS)}, {"completion_ns": ints(-1)}],
)
def test_timestamps_out_of_order_are_the_drivers_fault(columns):
    with pytest.raises(ValueError, match="arrival <= first token <= completion"):
        completed(one_request(**columns).requests)
