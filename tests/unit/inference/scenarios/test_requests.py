"""Goal: each kind of trace a scenario can name gives its requests, the same for the same seed, or names the key at fault."""

import gzip

import numpy as np
import pytest

from inference.errors import ScenarioError, TraceError
from inference.scenarios.loader import from_values
from inference.scenarios.requests import trace_of_scenario


def scenario_of(trace, **more):
    group = {"count": 2, "gpu": "h100-80gb"}
    values = {
        "name": "s",
        "models": ["bloom-176b"],
        "trace": trace,
        "replicas": {"all": group},
        "routing": {"policy": "token_jsq"},
    }
    return from_values({**values, **more})


def made(trace, **more):
    return trace_of_scenario(scenario_of(trace, **more), "file.toml")


POISSON = {"kind": "poisson", "rate_per_s": 20, "duration_s": 10}


@pytest.mark.parametrize(
    "trace",
    [
        {"kind": "azure", "service": "code", "start_s": 60, "duration_s": 600},
        POISSON,
        {"kind": "week", "service": "code", "rate_factor": 0.01, "duration_s": 3600},
        {"kind": "week", "rate_factor": 0.01, "start_s": 601_200, "lengths": "2024"},
        {"kind": "mix", "rate_per_s": 20, "duration_s": 10},
        {"kind": "mix", "rate_per_s": 20, "duration_s": 10, "percent": {"SS": 40, "LL": 60}},
        {"kind": "services", "rate_per_s": 20, "duration_s": 10},
    ],
)
def test_each_kind_is_drawn_and_reproduced(trace):
    first, second = made(trace), made(trace)
    assert len(first) > 50
    assert np.array_equal(first.arrival_ns, second.arrival_ns)
    assert np.array_equal(first.prompt_tokens, second.prompt_tokens)
    assert first.description


def test_the_published_trace_comes_out_of_seed_0():
    """splitwise-sim's conversation at 70 requests/s for two minutes has 8,502 rows."""
    trace = made({"kind": "poisson", "rate_per_s": 70, "duration_s": 120})
    assert len(trace) == 8502


def test_files_are_read(tmp_path):
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("arrival_s,prompt_tokens,output_tokens\n0,10,5\n1.5,20,6\n")
    trace = made({"kind": "csv", "path": str(path)})
    assert trace.prompt_tokens.tolist() == [10, 20]
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"timestamp": 0, "input_length": 3, "output_length": 4, "hash_ids": []}\n')
    assert len(made({"kind": "mooncake", "path": str(lines)})) == 1
    path.write_text("nothing")
    with pytest.raises(TraceError, match=r"t\.csv\.gz"):
        made({"kind": "csv", "path": str(path)})


def test_services_of_ones_own():
    services = {
        "tiny": {"share": 1.0, "prompt_tokens": [5, 5], "output_tokens": [2, 3], "low_share": 1.0}
    }
    trace = made({"kind": "services", "rate_per_s": 9, "duration_s": 9, "services": services})
    assert set(trace.prompt_tokens.tolist()) == {5}
    assert trace.priority.all()


def test_samples_limits_priorities_and_models():
    whole = made(POISSON)
    half = made({**POISSON, "sample": 0.5, "low_share": 0.5})
    assert 0.3 < len(half) / len(whole) < 0.7
    assert 0.2 < half.priority.mean() < 0.8
    assert len(made(POISSON, limits={"requests_max": 7})) == 7
    two = {
        "models": ["bloom-176b", "llama2-70b"],
        "model_shares": {"bloom-176b": 1.0, "llama2-70b": 0.25},
        "replicas": {
            "a": {"count": 1, "gpu": "h100-80gb", "model": "bloom-176b"},
            "b": {"count": 1, "gpu": "h100-80gb", "model": "llama2-70b"},
        },
    }
    assert 0.1 < made(POISSON, **two).model.mean() < 0.3


@pytest.mark.parametrize(
    ("trace", "key"),
    [
        ({"kind": "azure", "start_s": 9000.0}, "trace.window"),
        ({"kind": "poisson", "rate_per_s": 0.001, "duration_s": 1}, "trace.duration_s"),
        ({**POISSON, "sample": 1e-9}, "trace.sample"),
        (
            {"kind": "mix", "rate_per_s": 2, "duration_s": 9, "percent": {"XX": 100}},
            "trace.percent.XX",
        ),
        ({"kind": "mix", "rate_per_s": 2, "duration_s": 9, "percent": {"SS": 9}}, "trace.percent"),
    ],
)
def test_what_gives_no_trace_names_the_key(trace, key):
    with pytest.raises(ScenarioError) as error:
        made(trace)
    assert error.value.source == "file.toml"
    assert error.value.key == key
