import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.policies.dynamo.reshard import TAU_NS, holdings, reshard_plan, reshard_units


@pytest.mark.parametrize(
    ("old", "new", "units"),
    [(4, 8, 1), (8, 4, 1), (2, 4, 2), (4, 2, 2), (2, 8, 3), (8, 2, 3), (8, 8, 0), (2, 2, 0)],
)
def test_costs_of_the_paper(old, new, units):
    assert reshard_units(old, new) == units
    assert reshard_plan((old,), (new,)).copy_ns() == units * TAU_NS


def test_two_halves_already_hold_all_that_the_whole_needs():
    assert reshard_plan((4, 4), (8,)).units == 0
    assert reshard_plan((8,), (4, 4)).units == 1
    assert reshard_plan((8,), (2, 2, 2, 2)).units == 3


LAYOUTS = st.sampled_from([(8,), (4,), (2,), (4, 4), (4, 2, 2), (2, 2), (2, 2, 2, 2), (4, 2)])


@given(LAYOUTS, LAYOUTS)
def test_every_gpu_ends_with_what_its_slot_needs(old, new):
    plan = reshard_plan(old, new)
    held, needed = holdings(old), holdings(new)
    gpus = max(len(held), len(needed))
    held += [frozenset()] * (gpus - len(held))
    after = [set(have) for have in held]
    for copy in plan.copies:
        assert copy.eighth in held[copy.source], "a source must hold what it sends"
        after[copy.target].add(copy.eighth)
    used = [slot for slot in plan.slots if slot >= 0]
    assert sorted(used) == list(range(len(needed)))
    for gpu, slot in enumerate(plan.slots):
        assert slot < 0 or needed[slot] <= after[gpu]
    lower_bound = max(len(want) for want in needed) - max(len(have) for have in held)
    assert plan.units >= lower_bound


def test_wrong_parallelism_and_missing_weights_are_refused():
    with pytest.raises(ValueError, match="eighths"):
        reshard_plan((3,), (8,))
    with pytest.raises(ValueError, match="copied"):
        reshard_plan((), (8,))
