import numpy as np
import pytest

from inference.experiments.dynamo import hour, week
from inference.experiments.dynamo.site import HEADROOM, MARGIN, SINGLE, rate_for, service_of
from inference.policies.dynamo.classes import PAPER_MIX
from inference.policies.dynamo.cluster import ServerPlanner


def test_the_conversation_has_the_papers_mix():
    assert np.abs(service_of("conv").shares - PAPER_MIX).max() < 0.012


def test_the_rate_fills_the_servers_by_the_planners_own_rule():
    service = service_of("conv")
    planner = ServerPlanner(service.profile, service.taxonomy, True, MARGIN)
    peak = service.shares * rate_for("conv", 12) * (1.0 + HEADROOM)
    assert sum(planner.demand(peak.tolist())) == pytest.approx(12.0)
    assert sum(planner.plan(peak.tolist()).servers) == 12
    every = ServerPlanner(service.profile, service.taxonomy, False, MARGIN)
    assert sum(every.plan(peak.tolist()).servers) > 12


def test_a_single_pool_carries_that_rate():
    pool = service_of("conv", SINGLE)
    assert pool.profile.load_max(0, 8) * 12 * MARGIN > rate_for("conv", 12)


def test_the_hour_is_the_2023_trace_scaled_and_the_same_for_a_seed():
    per_s = hour.minute_rates(1.0)
    assert len(per_s) == 58
    busiest = np.convolve(per_s, np.ones(5) / 5, "valid").max()
    assert busiest == pytest.approx(rate_for("conv", hour.SERVERS))
    first, again = hour.requests_of(per_s, 1), hour.requests_of(per_s, 1)
    assert (first.arrival_ns == again.arrival_ns).all()
    assert (first.prompt_tokens == again.prompt_tokens).all()
    assert len(first) == pytest.approx(per_s.sum() * 60, rel=0.02)


def test_shapes_of_the_weeks_are_judged_by_the_digitised_rates():
    assert {one.id for one in week.shapes()} == {
        "DY12-conv-peak",
        "DY12-conv-valley",
        "DY12-code-peak",
        "DY12-code-valley",
    }


def test_the_papers_price_of_a_server_follows_from_its_own_figures():
    assert pytest.approx(88.49, abs=0.01) == week.SERVER_USD_PER_H


def test_static_pools_are_sized_for_the_load_that_fills_the_single_pool():
    service = service_of("conv")
    planner = ServerPlanner(service.profile, service.taxonomy, False, MARGIN)
    wanted = planner.demand((service.shares * rate_for("conv", 12) * (1.0 + HEADROOM)).tolist())
    servers = hour.static_servers(service)
    assert all(0 <= number - share < 1 for number, share in zip(servers, wanted, strict=True))
    assert sum(servers) > hour.SERVERS
