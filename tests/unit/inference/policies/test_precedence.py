"""Goal: brake over cap over policy, in every order in which they can come; nobody above ever speeds a GPU up."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inference.domain.action import Precedence, SetBrake, SetCap, SetClock
from inference.policies.precedence import ClockArbiter, effective_clock

MIN_MHZ, MAX_MHZ, BRAKE_MHZ = 210, 1980, 288
CLOCKS = st.integers(MIN_MHZ, MAX_MHZ)
CAPS = st.one_of(st.just(0), CLOCKS)


@pytest.mark.parametrize(
    ("policy", "cap", "braked", "clock", "limiter"),
    [
        (1410, 0, False, 1410, Precedence.POLICY),
        (1410, 1275, False, 1275, Precedence.CAP),  # POLCA T1 on an A100
        (1110, 1275, False, 1110, Precedence.POLICY),  # a cap above the wish limits nobody
        (1275, 1275, False, 1275, Precedence.POLICY),  # nor does one at the wish
        (1410, 0, True, 288, Precedence.BRAKE),
        (1410, 1275, True, 288, Precedence.BRAKE),
        (210, 0, True, 210, Precedence.BRAKE),  # a brake does not speed up
        (1410, 240, True, 240, Precedence.BRAKE),
    ],
)
def test_table(policy, cap, braked, clock, limiter):
    assert effective_clock(policy, cap, braked, BRAKE_MHZ) == (clock, limiter)


def test_every_combination_of_a_small_clock_range():
    """Exhaustive over five clocks: the clock is the least of those in force, the limiter the highest that matters."""
    clocks = range(1, 6)
    for policy, cap, braked, brake in product(clocks, range(6), (False, True), clocks):
        clock, limiter = effective_clock(policy, cap, braked, brake)
        asked = [policy] + [cap] * (cap > 0) + [brake] * braked
        assert clock == min(asked)
        if braked:
            assert limiter is Precedence.BRAKE
        elif limiter is Precedence.CAP:
            assert clock == cap < policy
        else:
            assert limiter is Precedence.POLICY
            assert clock == policy


@given(CLOCKS, CAPS, st.booleans(), st.integers(1, MAX_MHZ))
def test_nobody_above_speeds_up(policy, cap, braked, brake):
    clock, _ = effective_clock(policy, cap, braked, brake)
    assert clock <= effective_clock(policy, cap, False, brake)[0]
    assert clock <= effective_clock(policy, 0, braked, brake)[0]


@given(CLOCKS, CLOCKS, CAPS, st.booleans())
def test_a_higher_wish_is_never_slower(first, second, cap, braked):
    low, high = sorted((first, second))
    assert (
        effective_clock(low, cap, braked, BRAKE_MHZ)[0]
        <= effective_clock(high, cap, braked, BRAKE_MHZ)[0]
    )


class ArbiterMachine(RuleBasedStateMachine):
    """The arbiter against the last value that each of the three asked for."""

    def __init__(self):
        super().__init__()
        self.arbiter = ClockArbiter(MIN_MHZ, MAX_MHZ, BRAKE_MHZ)
        self.policy, self.cap, self.braked = MAX_MHZ, 0, False
        self.clock = MAX_MHZ

    def expect(self, ruling):
        clock, limiter = effective_clock(self.policy, self.cap, self.braked, BRAKE_MHZ)
        assert (ruling.clock_mhz, ruling.limited_by) == (clock, limiter)
        assert ruling.changed == (clock != self.clock)
        self.clock = clock

    @rule(clock=st.one_of(st.just(0), CLOCKS))
    def wish(self, clock):
        self.policy = clock or MAX_MHZ
        self.expect(self.arbiter.apply(SetClock(0, clock)))

    @rule(clock=CAPS)
    def bound(self, clock):
        self.cap = clock
        self.expect(self.arbiter.apply(SetCap(0, clock)))

    @rule(engaged=st.booleans())
    def brake(self, engaged):
        self.braked = engaged
        self.expect(self.arbiter.apply(SetBrake(0, engaged)))

    @rule(clock=st.one_of(st.integers(1, MIN_MHZ - 1), st.integers(MAX_MHZ + 1, 10_000)))
    def impossible(self, clock):
        with pytest.raises(ValueError, match=r"210\.\.1980 MHz"):
            self.arbiter.wish(clock)
        with pytest.raises(ValueError, match=r"210\.\.1980 MHz"):
            self.arbiter.cap(clock)

    @invariant()
    def nothing_asked_is_forgotten(self):
        assert (self.arbiter.policy_mhz, self.arbiter.cap_mhz, self.arbiter.braked) == (
            self.policy,
            self.cap,
            self.braked,
        )
        assert self.arbiter.ruling.clock_mhz == self.clock
        assert not self.arbiter.ruling.changed


TestArbiter = ArbiterMachine.TestCase


def test_lifting_brings_back_the_next_in_rank():
    """POLCA T1, T2, brake, and all of them lifted again while the policy moves below them."""
    arbiter = ClockArbiter(210, 1410, 288)
    assert arbiter.cap(1275).clock_mhz == 1275
    assert arbiter.cap(1110).clock_mhz == 1110
    assert arbiter.brake(True).clock_mhz == 288
    assert not arbiter.wish(1200).changed
    assert arbiter.brake(False).clock_mhz == 1110
    assert arbiter.cap(1275).limited_by is Precedence.POLICY
    assert not arbiter.cap(0).changed
    assert arbiter.wish(0).clock_mhz == 1410


@pytest.mark.parametrize(("low", "high", "brake"), [(0, 5, 1), (6, 5, 1), (1, 5, 0), (1, 5, 6)])
def test_an_impossible_range_is_refused(low, high, brake):
    with pytest.raises(ValueError, match="MHz"):
        ClockArbiter(low, high, brake)
