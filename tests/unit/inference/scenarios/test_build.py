"""Goal: a scenario runs to its end with the figures of its design, the same for the same seed, or says what is missing."""

import numpy as np
import pytest

from inference.errors import InferenceError, ProfileError, ScenarioError
from inference.scenarios import hardware
from inference.scenarios.build import plan_of, simulate
from inference.scenarios.loader import load, shipped
from inference.scenarios.objectives import broken, held, summary_of

SHORT = ["trace.duration_s=5", "trace.rate_per_s=10"]


def test_the_quickstart_splits_for_steadier_tokens():
    """Decodes that no prefill interrupts: the story that the quickstart tells."""
    names = ("quickstart", "quickstart-baseline")
    split, whole = (summary_of(load(name), simulate(load(name), name)) for name in names)
    assert split.completed == split.requests == whole.completed
    assert split.latency.tbt_ms.p99 < 0.8 * whole.latency.tbt_ms.p99
    assert held(split)
    assert broken(split) == ()


def test_a_run_is_reproduced_by_its_scenario():
    scenario = load("quickstart", SHORT)
    first, second = simulate(scenario), simulate(scenario)
    assert np.array_equal(first.requests.completion_ns, second.requests.completion_ns)
    other = simulate(load("quickstart", [*SHORT, "seed=1"]))
    assert not np.array_equal(first.requests.arrival_ns[:20], other.requests.arrival_ns[:20])


# DynamoLLM's survey the hardware first, which takes seconds: test_dynamo.py has those.
@pytest.mark.parametrize("name", [one for one in shipped() if not one.startswith("dynamo-")])
def test_each_shipped_scenario_makes_a_plan(name):
    changes = ["limits.requests_max=20"]
    plan = plan_of(load(name, changes), name)
    assert len(plan.trace) == 20
    assert plan.provenance


def test_results_say_what_they_are_of():
    run = simulate(load("quickstart", SHORT))
    assert run.pools == ("prefill", "decode")
    assert run.facts["cluster"] == "5 x h100-80gb prefill, 3 x h100-80gb decode"
    assert "Poisson" in run.facts["trace"]
    assert any(name.startswith("latency bloom-176b h100-80gb tp8") for name in run.provenance)


def test_series_windows_and_limits_reach_the_run():
    changes = ["report.series_s=0.5", "report.iterations_window_s=[0, 1]", "limits.end_s=2"]
    run = simulate(load("quickstart", [*SHORT, *changes]))
    assert run.series is not None
    assert run.series.period_ns == 500_000_000
    assert run.iterations is not None
    assert 1_000_000_000 < run.end_ns <= 2_000_000_000


def test_a_lost_machine_restarts_its_requests():
    change = 'failures=[{kind="machine_loss",replica=0,at_s=2,for_s=1}]'
    run = simulate(load("quickstart", [*SHORT, change]))
    assert int(run.requests.restarts.sum()) > 0
    assert (run.requests.completion_ns > 0).all()


def test_a_straggler_is_slower():
    usual = simulate(load("quickstart-baseline", SHORT))
    changes = [f'{{kind="straggler",replica={index},factor=2.0}}' for index in range(8)]
    slow = simulate(load("quickstart-baseline", [*SHORT, f"failures=[{','.join(changes)}]"]))
    assert slow.end_ns > 1.5 * usual.end_ns


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("routing.policy=splitwize", "routing.policy"),
        ("report.series_s=1e-9", "report.series_s"),
        ("batching.policy=splitwize", "batching.policy"),
        ("replicas.decode.gpu=h100", "replicas.decode.gpu"),
        ("replicas.decode.tp=2", "replicas.decode.tp"),
    ],
)
def test_unknown_names_are_refused(change, key):
    with pytest.raises(ScenarioError) as error:
        plan_of(load("quickstart", [change]), "quickstart.toml")
    assert error.value.key == key
    assert error.value.source == "quickstart.toml"


def test_an_unprofiled_machine_is_refused():
    with pytest.raises(InferenceError, match="expected one of"):
        plan_of(load("quickstart", ["replicas.decode.gpu=v100-32gb", "models=['llama2-7b']"]))


CONTEXT = [*SHORT, "latency=context"]


def test_a_power_cap_slows_and_saves():
    usual = simulate(load("quickstart-baseline", CONTEXT))
    capped = simulate(load("quickstart-baseline", [*CONTEXT, "replicas.all.power_cap_w=400"]))
    assert capped.replicas.energy_j.sum() < usual.replicas.energy_j.sum()
    assert capped.end_ns > usual.end_ns
    assert capped.series is not None
    assert capped.series.power_w.max() <= 8 * 8 * 400
    assert "clock law" in capped.provenance


def test_a_row_controller_brakes_a_row_without_power():
    power = 'power={policy="polca", provisioned_w=20000.0, rest_w=100.0}'
    changes = ["replicas.all.gpu=a100-80gb", "trace.duration_s=20", "limits.end_s=100"]
    run = simulate(load("quickstart-baseline", [*CONTEXT, *changes, power]))
    assert int(run.facts["actions_SetBrake"]) > 0
    assert "power of servers" in run.provenance


def test_rent_and_carbon_are_summed_up():
    scenario = load("quickstart-baseline", [*SHORT, "report.carbon=duck"])
    run = simulate(scenario)
    summary = summary_of(scenario, run)
    assert summary.cost_usd == pytest.approx(8 * 38.0 * run.end_ns / 3.6e12)
    wh = run.replicas.energy_j.sum() / 3600
    # At midnight: 290 g/kWh, falling to 285 within the hour.
    assert summary.carbon_g == pytest.approx(0.29 * wh, rel=0.02)
    assert "carbon intensity" in run.provenance


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        (["replicas.all.clock_mhz=1600"], "replicas.all.clock_mhz", 'latency = "context"'),
        (["replicas.all.power_cap_w=400"], "replicas.all.power_cap_w", 'latency = "context"'),
        (["power.policy=polca"], "power.policy", 'latency = "context"'),
        (["latency=context", "power.policy=polka"], "power.policy", "did you mean 'polca'?"),
        (
            ["latency=context", 'power={policy="polca",parameters={t1=0.95}}'],
            "power.parameters",
            "expected 0 < t1 - lift",
        ),
        (["latency=context", "replicas.all.power_cap_w=90"], "replicas.all.power_cap_w", "90 W"),
        (["report.carbon=duck", "report.series_s=0"], "report.series_s", "above 0"),
    ],
)
def test_power_that_cannot_be_is_refused(changes, key, expected):
    with pytest.raises(ScenarioError) as error:
        plan_of(load("quickstart-baseline", changes), "q.toml")
    assert error.value.key == key
    assert expected in error.value.expected


def test_hardware_without_a_power_profile_counts_no_energy(monkeypatch):
    def unknown(model, gpu, tp):
        raise ProfileError("power", gpu.name, "expected a known GPU")

    monkeypatch.setattr(hardware, "power_model", unknown)
    run = simulate(load("quickstart", SHORT))
    assert run.replicas.energy_j.sum() == 0
    said = "energy is not counted: power: h100-80gb: expected a known GPU"
    assert said in run.warnings
    with pytest.raises(ProfileError):
        plan_of(load("polca-cluster"), "p.toml")


def test_a_row_over_its_power_is_capped_without_a_brake():
    """POLCA's point, at the scale of the shipped scenario."""
    run = simulate(load("polca-cluster", ["limits.requests_max=400"]))
    assert int(run.facts["actions_SetCap"]) > 0
    assert "actions_SetBrake" not in run.facts


def test_models_keep_to_their_own_replicas():
    run = simulate(load("models-four", ["limits.requests_max=200"]))
    own = run.replicas.model_id[run.requests.prefill_replica]
    assert (own == run.requests.model).all()
