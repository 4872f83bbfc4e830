"""Goal: policies are made by name with checked settings, and whoever errs is told what there is."""

from typing import Any

import pytest

from inference.domain.action import Route
from inference.errors import InputError, ScenarioError
from inference.policies.disaggregation import ByPromptLength, Layerwise, Serialized
from inference.policies.parameters import Nothing
from inference.policies.registry import (
    DISAGGREGATION,
    ROUTING,
    Registry,
    disaggregation_policy,
    routing_policy,
)
from inference.policies.routing.admission import Admission
from inference.policies.routing.whole import WholeRouting
from tests.unit.inference.routing.toy import ToyCluster, ToyReplica, request


def refusal(name: str, parameters: dict[str, Any]) -> InputError:
    with pytest.raises(ScenarioError) as caught:
        routing_policy(name, parameters, source="own.toml", key="routing")
    assert caught.value.source == "own.toml"
    return caught.value


def test_unknown_policy_lists_all_and_guesses():
    error = refusal("token_jqs", {})
    assert error.key == "routing.policy"
    assert "did you mean 'token_jsq'?" in error.expected
    assert all(name in error.expected for name in ROUTING.names)


@pytest.mark.parametrize(
    ("name", "parameters", "key", "expected"),
    [
        ("min_min", {"base": 1.0}, "base", "expected one of base_s, decode_s_per_token, prefill"),
        ("round_robin", {"seed": 1}, "seed", "expected no settings, found 'seed'"),
        ("min_min", {"base_s": 0}, "base_s", "expected a number from 1e-12 to 1e+06, found 0.0"),
        ("min_min", {"base_s": float("nan")}, "base_s", "expected a number, found nan"),
        ("min_min", {"base_s": 10**400}, "base_s", "expected a number, found"),
        ("max_capacity", {"interval_s": True}, "interval_s", "expected a number, found True"),
        ("max_capacity", {"interval_s": "1"}, "interval_s", "expected a number, found '1'"),
        ("small_large", {"heavy_decode_tokens": 2.5}, "heavy_decode_tokens", "a whole number"),
        ("small_large", {"heavy_share": 1.1}, "heavy_share", "from 0 to 1, found 1.1"),
        (
            "splitwise",
            {"queue_tokens_max": 0},
            "queue_tokens_max",
            "a whole number from 1, found 0",
        ),
        (
            "decode_balancer",
            {"placement": "lwl"},
            "placement",
            "fcfs, least_work_left, bin_packing",
        ),
        ("decode_balancer", {"placement": True}, "placement", "found True"),
    ],
)
def test_wrong_setting_is_named_with_what_would_be_right(name, parameters, key, expected):
    error = refusal(name, parameters)
    assert error.key == f"routing.parameters.{key}"
    assert expected in error.expected


def test_settings_reach_the_policy():
    made = routing_policy("mixing_impact", {"tick_s": 0.05, "score_min": 0, "wait_s_max": 2})
    assert isinstance(made, Admission)
    assert made.retry_ns == 50_000_000
    assert isinstance(made.policy, WholeRouting)
    assert made.policy.chooser.wait_ns_max == 2_000_000_000  # type: ignore[attr-defined]
    assert routing_policy("splitwise").retry_ns == 0


def test_seed_reaches_the_random_policy():
    def choices(seed: int) -> list[object]:
        policy, view = routing_policy("random", seed=seed), ToyCluster([ToyReplica(99)] * 8)
        policy.changed(view, 0)
        return [policy.route(request(), view, 0) for _ in range(20)]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)


def test_every_policy_says_where_it_is_described():
    for registry in (ROUTING, DISAGGREGATION):
        for entry in registry.entries.values():
            assert entry.source
            assert entry.parameters.__doc__


def test_a_name_is_taken_once():
    registry: Registry[None, str] = Registry("greeting")
    registry.register("hello", Nothing, lambda settings, _: "hello", "nowhere")
    assert registry.make("hello", {}, None) == "hello"
    with pytest.raises(ValueError, match="'hello' is registered already"):
        registry.register("hello", Nothing, lambda settings, _: "again", "nowhere")


def test_disaggregation_by_name():
    assert disaggregation_policy("serialized") == Serialized()
    assert disaggregation_policy("layerwise") == Layerwise()
    assert disaggregation_policy("by_prompt_length", {"prompt_tokens_min": 7}) == ByPromptLength(7)
    with pytest.raises(ScenarioError, match="disaggregation policy: expected one of by_prompt_len"):
        disaggregation_policy("never")


def test_splitwise_chooses_by_prompt_length():
    """Serialized below 512 tokens on H100 (section 4.3); other GPUs by their own measure where there is one."""
    policy = ByPromptLength(by_gpu={"a100-80gb": 1024})
    assert [policy.layerwise(tokens, "h100-80gb") for tokens in (1, 511, 512)] == [
        False,
        False,
        True,
    ]
    assert not policy.layerwise(1023, "a100-80gb")
    assert not Serialized().layerwise(10_000, "h100-80gb")
    assert Layerwise().layerwise(1, "h100-80gb")


def test_admission_knows_weights_though_promises_are_mixed_in():
    """A replica that is full of promises when the cluster changes does not count as small."""
    view = ToyCluster([ToyReplica(1000)])
    policy = routing_policy("round_robin")
    policy.changed(view, 0)
    view.place(request(0, 900, 50), Route(0, 0))
    policy.changed(view, 0)
    assert policy.route(request(1, 999, 1), view, 0) == Route(0, 0)
