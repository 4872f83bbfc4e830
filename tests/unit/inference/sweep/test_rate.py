"""Goal: the search finds the exact limit of a monotone objective, and never claims an unconfirmed one of a noisy one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.sweep.rate import SloVerdict, highest_rate, one_by_one, rate_grid

SIZES = st.integers(1, 60)
PROBES = st.integers(1, 5)
CONFIRM = st.integers(0, 4)


def verdicts_of(holds, asked=None):
    """Evaluates rate k as holds[k - 1], and notes what was asked for."""

    def run(rate):
        if asked is not None:
            asked.append(rate)
        held = holds[int(rate) - 1]
        return SloVerdict(rate, held, () if held else ("tbt_p50",))

    return one_by_one(run)


@given(SIZES, st.data(), PROBES, CONFIRM)
def test_monotone_objectives_give_the_exact_limit(size, data, probes, confirm):
    limit = data.draw(st.integers(0, size))
    asked: list[float] = []
    holds = [place < limit for place in range(size)]
    found = highest_rate(
        verdicts_of(holds, asked), range(1, size + 1), probes=probes, confirm=confirm
    )
    assert found.rate_per_s == (limit or None)
    assert found.open_above == (limit == size)
    assert found.islands_per_s == ()
    assert len(asked) == len(set(asked)), "each rate is asked for once"
    assert [verdict.rate_per_s for verdict in found.verdicts] == sorted(asked)


@given(st.lists(st.booleans(), min_size=1, max_size=60), PROBES, CONFIRM)
def test_a_claimed_rate_is_confirmed_whatever_the_noise(holds, probes, confirm):
    rates = range(1, len(holds) + 1)
    found = highest_rate(verdicts_of(holds), rates, probes=probes, confirm=confirm)
    again = highest_rate(verdicts_of(holds), rates, probes=probes, confirm=confirm)
    assert found == again
    asked = {verdict.rate_per_s: verdict.held for verdict in found.verdicts}
    if found.rate_per_s is None:
        assert not holds[0] or confirm > 0
        return
    place = int(found.rate_per_s) - 1
    assert all(holds[max(0, place - confirm) : place + 1])
    assert found.open_above or not holds[place + 1]
    above = [rate for rate in asked if rate > found.rate_per_s and asked[rate]]
    assert list(found.islands_per_s) == sorted(above)


def test_bisection_asks_for_few_rates():
    asked: list[float] = []
    holds = [rate <= 700 for rate in range(1, 1025)]
    assert highest_rate(verdicts_of(holds, asked), range(1, 1025), confirm=0).rate_per_s == 700
    assert len(asked) <= 11


def test_noise_near_the_limit_moves_the_answer_down_and_is_reported():
    holds = [True] * 10 + [False, True, True, False, True, False]
    found = highest_rate(verdicts_of(holds), range(1, 17), probes=3, confirm=3)
    assert found.rate_per_s == 10
    assert found.islands_per_s


def test_probes_of_one_round_are_asked_for_together():
    rounds = []

    def evaluate(rates):
        rounds.append(len(rates))
        return [SloVerdict(rate, rate <= 40) for rate in rates]

    assert highest_rate(evaluate, range(1, 101), probes=9, confirm=0).rate_per_s == 40
    assert rounds[0] == 9
    assert len(rounds) <= 3


def test_a_rate_grid_reaches_its_end():
    assert rate_grid(30, 60, 10) == (30, 40, 50, 60)
    assert rate_grid(0.1, 0.3, 0.1) == (0.1, 0.2, 0.3)
    assert rate_grid(5, 5, 1) == (5,)
    assert rate_grid(1, 2.5, 1) == (1, 2)
    for wrong in ((0, 1, 1), (2, 1, 1), (1, 2, 0)):
        with pytest.raises(ValueError, match="expected"):
            rate_grid(*wrong)


def test_wrong_grids_are_refused():
    for rates in ([], [2, 1], [1, 1]):
        with pytest.raises(ValueError, match="rise"):
            highest_rate(verdicts_of([True]), rates)
    with pytest.raises(ValueError, match="probe"):
        highest_rate(verdicts_of([True]), [1], probes=0)


def test_a_steep_logistic_noise_is_found_within_its_width():
    noise = random.Random(3)
    holds = [noise.random() > (rate - 190) / 20 for rate in range(1, 301)]
    found = highest_rate(verdicts_of(holds), range(1, 301), probes=2, confirm=3)
    assert found.rate_per_s is not None
    assert 185 <= found.rate_per_s <= 210
