from loadtests.rounds import interleave


def test_every_round_has_every_step_and_the_seed_decides_the_order() -> None:
    steps = ["bare", "bridge", "junctiond", "memory"]
    plan = interleave(steps, 20, seed=1)
    assert len(plan) == 20
    assert all(sorted(order) == sorted(steps) for order in plan)
    assert len({tuple(order) for order in plan}) > 5
    assert plan == interleave(steps, 20, seed=1)
    assert plan != interleave(steps, 20, seed=2)
