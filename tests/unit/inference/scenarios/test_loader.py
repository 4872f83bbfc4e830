"""Goal: a scenario is either right or refused with file, key and expectation; nothing else comes out, whatever goes in."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import ScenarioError
from inference.scenarios.loader import from_values, load, locate, shipped
from inference.scenarios.spec import MachineLoss, Scenario
from inference.scenarios.trace_spec import PoissonTrace

SMALL = """
name = "small"
models = ["bloom-176b"]
[trace]
kind = "poisson"
rate_per_s = 7
duration_s = 10
[replicas.prefill]
count = 2
gpu = "h100-80gb"
role = "prefill"
[replicas.decode]
count = 1
gpu = "h100-80gb"
role = "decode"
[routing]
policy = "splitwise"
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_loads_with_defaults(small):
    scenario = load(small)
    assert scenario.trace == PoissonTrace(rate_per_s=7.0, duration_s=10.0)
    assert (scenario.batching.requests_max, scenario.batching.tokens_max) == (512, 2048)
    assert scenario.batching.preemptions_max == 4
    assert list(scenario.replicas) == ["prefill", "decode"]
    assert hash(scenario.trace)


def test_overrides_go_through_the_same_checks(small):
    assert load(small, ["routing.policy=jsq", "seed=9"]).seed == 9
    failures = load(small, ['failures=[{kind="machine_loss",replica=2,at_s=1}]']).failures
    assert failures == (MachineLoss(replica=2, at_s=1.0),)
    with pytest.raises(
        ScenarioError, match=r"argument --set: trace\.rate: unknown key; did you me"
    ):
        load(small, ["trace.rate=3"])


@pytest.mark.parametrize(
    ("change", "key", "expected"),
    [
        ("replicas.decode.count=0", "replicas", "at least one decode or mixed replica"),
        ("replicas.decode.role=prefill", "replicas", "at least one decode or mixed replica"),
        ("replicas.prefill.count=0", "replicas", "at least one prefill or mixed replica"),
        ("replicas.decode.model=llama", "replicas.decode.model", "a model of `models`"),
        ('models=["a","b"]', "replicas.prefill.model", "expected one of a, b, found none"),
        ('models=["a","a"]', "models.1", "each model once"),
        ("model_shares.bloom=1", "model_shares.bloom", "did you mean 'bloom-176b'?"),
        ('failures=[{kind="straggler",replica=3,factor=2}]', "failures.0.replica", "below 3"),
        ("report.iterations_window_s=[1]", "report.iterations_window_s", "one number"),
        ("report.iterations_window_s=[2,1]", "report.iterations_window_s", "from < to"),
        ("trace.rate_per_s=nan", "trace.rate_per_s", "finite"),
        ("trace.rate_per_s=inf", "trace.rate_per_s", "finite"),
        ("trace.duration_s=1e8", "trace.duration_s", "at most 30,000,000 requests"),
        ("trace.duration_s=0", "trace.duration_s", "above 0"),
        ("batching.requests_max=0", "batching.requests_max", "from 1 to 65,536"),
        ("replicas.decode.tp=3", "replicas.decode.tp", "expected one of 1, 2, 4, 8"),
        ("latency=magic", "latency", "expected one of table, context"),
        ("slo.kind=nine", "slo.kind", "expected one of classes, splitwise"),
    ],
)
def test_what_does_not_fit_together_is_refused(small, change, key, expected):
    with pytest.raises(ScenarioError) as error:
        load(small, [change])
    assert error.value.key == key
    assert expected in error.value.expected


def test_each_shipped_scenario_loads():
    for name, path in shipped().items():
        assert load(path).name, name


def test_unknown_scenarios_are_refused_with_the_closest():
    for wrong in ("quikstart", "", "\0", "x" * 5000, "/"):
        with pytest.raises(ScenarioError, match="expected a scenario file or a name"):
            locate(wrong)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_scenario_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "any.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError):
        load(path)


KEYS = st.sampled_from(
    [
        "name",
        "seed",
        "trace",
        "kind",
        "rate_per_s",
        "duration_s",
        "models",
        "replicas",
        "a",
        "count",
        "gpu",
        "role",
        "tp",
        "routing",
        "policy",
        "parameters",
        "batching",
        "requests_max",
        "control",
        "power",
        "failures",
        "replica",
        "factor",
        "slo",
        "report",
        "limits",
        "end_s",
        "include",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["poisson", "azure", "mixed", "straggler", "splitwise", "h100-80gb"])
    | st.dates()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5)
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_tables_are_a_scenario_or_refused(values):
    merged = {**tomllib.loads(SMALL), **values}
    try:
        assert isinstance(from_values(merged), Scenario)
    except ScenarioError as error:
        assert error.key
        assert "\n" not in error.expected


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_override_is_taken_or_refused(tmp_path_factory, key, value):
    path = tmp_path_factory.getbasetemp() / "small-fuzz.toml"
    path.write_text(SMALL)
    try:  # a text may happen to be a key ("source")
        assert isinstance(load(path, [f"{key}={value}"]), Scenario)
    except ScenarioError as error:
        assert error.key


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["seed", "trace.rate_per_s", "replicas.decode.tp", "routing.parameters.x"]),
    SCALARS.map(str) | st.text(max_size=20),
)
def test_any_value_of_a_known_key_is_taken_or_refused(tmp_path_factory, key, value):
    path = tmp_path_factory.getbasetemp() / "small-fuzz.toml"
    path.write_text(SMALL)
    try:
        assert isinstance(load(path, [f"{key}={value}"]), Scenario)
    except ScenarioError as error:
        assert error.key
