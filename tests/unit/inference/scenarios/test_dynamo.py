"""Goal: a scenario names a composition of DynamoLLM, and its managers run the cluster; impossible ones are refused."""

import pytest

from inference.errors import ScenarioError
from inference.scenarios.build import plan_of, simulate
from inference.scenarios.loader import load, shipped

SHORT = ["trace.duration_s=90", "trace.rate_per_s=10", "report.series_s=1"]


def test_every_composition_of_the_paper_is_shipped():
    names = {name.removeprefix("dynamo-hour-") for name in shipped() if "dynamo-hour" in name}
    assert names == {
        "singlepool",
        "multipool",
        "scaleinst",
        "scaleshard",
        "scalefreq",
        "dynamollm",
    }


def test_managers_save_energy_over_a_single_pool():
    single = simulate(load("dynamo-hour-singlepool", SHORT))
    managed = simulate(load("dynamo-hour-dynamollm", SHORT))
    assert single.pools == ("AA",)
    assert managed.pools == ("SS", "SM", "SL", "MS", "MM", "ML", "LS", "LM", "LL")
    assert set(managed.requests.class_id.tolist()) == set(range(9))
    assert managed.replicas.energy_j.sum() < 0.8 * single.replicas.energy_j.sum()
    assert int(managed.facts["actions_SetClock"]) > 0
    assert "clock law" in managed.provenance


def test_a_predictor_that_errs_sends_requests_to_other_pools():
    wrong = "routing.parameters.accuracy=0.6"
    plan = plan_of(load("dynamo-hour-multipool", [*SHORT, wrong]), "m.toml")
    predictor = plan.mechanisms.predictor
    assert predictor is not None
    bins = {predictor.predict(row, 100, 5) for row in range(200)}
    assert len(bins) == 2
    oracle = plan_of(load("dynamo-hour-multipool", SHORT), "m.toml")
    assert oracle.mechanisms.predictor is None


@pytest.mark.parametrize(
    ("change", "key", "expected"),
    [
        ("routing.parameters.composition=Best", "routing.parameters.composition", "expected one"),
        ("routing.parameters.accuracy=2", "routing.parameters.accuracy", "from 0 to 1"),
        ("routing.parameters.pools=9", "routing.parameters.pools", "expected one of accuracy"),
        ("replicas.all.tp=4", "replicas", "one group with tp = 8"),
        ('replicas.more={count=1,gpu="h100-80gb"}', "replicas", "one group with tp = 8"),
        ("latency=table", "routing.policy", 'latency = "context"'),
    ],
)
def test_impossible_managers_are_refused(change, key, expected):
    with pytest.raises(ScenarioError) as error:
        plan_of(load("dynamo-hour-dynamollm", [*SHORT, change]), "d.toml")
    assert error.value.key == key
    assert expected in error.value.expected
