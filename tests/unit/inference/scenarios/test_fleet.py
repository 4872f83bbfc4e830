"""Goal: groups become replicas in order, and a cluster that can never serve its trace is refused with the arithmetic."""

import pytest

from inference.domain.replica import Role
from inference.errors import ScenarioError
from inference.scenarios.fleet import check_room, fleet_of
from inference.scenarios.loader import from_values
from inference.traces.trace import trace_of


def scenario_of(replicas, models=("bloom-176b",)):
    trace = {"kind": "poisson", "rate_per_s": 1, "duration_s": 1}
    values = {"name": "s", "models": list(models), "trace": trace, "replicas": replicas}
    values["latency"] = "context"
    return from_values({**values, "routing": {"policy": "splitwise"}})


PAIR = {
    "prefill": {"count": 2, "gpu": "h100-80gb", "role": "prefill", "clock_mhz": 1600},
    "decode": {"count": 1, "gpu": "a100-80gb", "role": "decode", "power_cap_w": 280.0},
}


def test_groups_become_replicas_in_order():
    fleet = fleet_of(scenario_of(PAIR), "f.toml")
    assert [spec.role for spec in fleet.specs] == [Role.PREFILL, Role.PREFILL, Role.DECODE]
    assert [spec.pool for spec in fleet.specs] == [0, 0, 1]
    assert fleet.pools == ("prefill", "decode")
    assert fleet.specs[0].clock_mhz == 1600
    assert fleet.specs[2].power_cap_w == 280.0
    assert 800 <= fleet.specs[2].clock_mhz < 1410
    assert fleet.specs[2].gpu.name == "a100-80gb"


def test_groups_may_share_a_pool_and_have_models_of_their_own():
    group = {"count": 1, "gpu": "h100-80gb", "pool": "shared"}
    fleet = fleet_of(
        scenario_of(
            {"a": {**group, "model": "llama2-70b"}, "b": {**group, "model": "bloom-176b"}},
            ["bloom-176b", "llama2-70b"],
        ),
        "f.toml",
    )
    assert fleet.pools == ("shared",)
    assert [spec.model.name for spec in fleet.specs] == ["llama2-70b", "bloom-176b"]
    assert [spec.model_id for spec in fleet.specs] == [1, 0]


@pytest.mark.parametrize(
    ("change", "models", "key", "expected"),
    [
        ({"gpu": "h100"}, ["bloom-176b"], "replicas.a.gpu", "did you mean 'h100-80gb'?"),
        ({}, ["bloom"], "models.0", "did you mean 'bloom-176b'?"),
        ({"tp": 2}, ["bloom-176b"], "replicas.a.tp", "329.0 GB, but 2 x h100-80gb have 171.8 GB"),
        ({"clock_mhz": 2500}, ["bloom-176b"], "replicas.a.clock_mhz", "from 800 to 1980"),
    ],
)
def test_impossible_replicas_are_refused(change, models, key, expected):
    with pytest.raises(ScenarioError) as error:
        fleet_of(scenario_of({"a": {"count": 1, "gpu": "h100-80gb", **change}}, models), "f.toml")
    assert error.value.key == key
    assert expected in error.value.expected


def test_the_largest_request_must_fit_with_the_arithmetic():
    group = {"count": 1, "gpu": "h100-80gb", "tp": 2, "model": "llama2-70b"}
    scenario = scenario_of({"a": group}, ["llama2-70b"])
    fleet = fleet_of(scenario, "f.toml")
    room = 2 * 80 * 2**30 - 137_953_296_384
    fits = room // 327_680
    check_room(scenario, fleet, trace_of("t", [0, 0], [5, fits - 10], [9, 10]), "f.toml")
    with pytest.raises(ScenarioError) as error:
        check_room(scenario, fleet, trace_of("t", [0, 0], [fits - 9, 5], [10, 5]), "f.toml")
    assert error.value.key == "replicas"
    assert "a decode replica" in error.value.expected
    assert f"{fits - 9:,} prompt + 10 output tokens x 327,680 bytes" in error.value.expected
    assert "2 x h100-80gb have 171.8 GB - 138.0 GB of weights = 33.8 GB" in error.value.expected


def test_a_prefill_needs_room_for_the_prompt_alone():
    prefill = {"count": 1, "gpu": "h100-80gb", "tp": 2, "role": "prefill"}
    decode = {"count": 1, "gpu": "h100-80gb", "tp": 8, "role": "decode"}
    scenario = scenario_of({"p": prefill, "d": decode}, ["llama2-70b"])
    fleet = fleet_of(scenario, "f.toml")
    check_room(scenario, fleet, trace_of("t", [0], [100], [1_000_000]), "f.toml")
    with pytest.raises(ScenarioError, match="a prefill replica: 200,000 prompt tokens"):
        check_room(scenario, fleet, trace_of("t", [0], [200_000], [1]), "f.toml")
