"""Goal: a knob is turned only within its range and at its pace, read back, and given back, whatever happens between."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inference.actuators.actuator import Actuator
from inference.actuators.pacing import INTERVAL_NS, Pacing, Verdict
from inference.actuators.protocols import Limits, Outcome, Unit
from inference.domain.action import Precedence
from inference.errors import HardwareDenied, HardwareError, HardwareRefused
from inference.policies.precedence import ClockArbiter

SECOND = 1_000_000_000
STEPS = tuple(range(210, 1981, 15))


class FakeKnob:
    """A knob that remembers; `taken` is what the hardware makes of a value."""

    name = "fake/knob"
    covers = "nothing"
    limits = Limits(210, 1980, 1980, Unit.MHZ, STEPS)

    def __init__(self, exact=True, original=1980):
        self.exact = exact
        self.original = self.value = original
        self.writes = []
        self.reads = 0
        self.error = None
        self.released = 0
        self.taken = lambda value: value

    def read(self):
        self.reads += 1
        return self.value

    def remark(self):
        return ""

    def write(self, value):
        if self.error:
            raise self.error
        self.writes.append(value)
        self.value = self.taken(value)

    def restore(self):
        self.value = self.original

    def release(self):
        self.released += 1


def test_a_value_is_set_to_the_step_below_and_read_back():
    knob = FakeKnob()
    with Actuator(knob) as actuator:
        change = actuator.set(1400, 0)
        assert change.outcome is Outcome.CHANGED
        assert (change.asked, change.sent, change.in_force) == (1400, 1395, 1395)
    assert knob.value == 1980
    assert knob.released == 1


def test_the_same_value_is_no_call_at_all():
    knob = FakeKnob()
    with Actuator(knob) as actuator:
        actuator.set(1400, 0)
        reads = knob.reads
        assert actuator.set(1395, 10 * SECOND).outcome is Outcome.UNCHANGED
        assert actuator.set(1400, 20 * SECOND).outcome is Outcome.UNCHANGED
        assert knob.writes == [1395]
        assert knob.reads == reads


def test_a_policy_waits_five_seconds_and_is_told_until_when():
    knob = FakeKnob()
    with Actuator(knob) as actuator:
        actuator.set(1980, 0)
        change = actuator.set(1200, 4 * SECOND)
        assert (change.outcome, change.retry_at_ns) == (Outcome.DEFERRED, 5 * SECOND)
        assert knob.writes == [1980]
        assert actuator.set(1200, change.retry_at_ns).outcome is Outcome.CHANGED


def test_cap_and_brake_do_not_wait():
    knob = FakeKnob()
    with Actuator(knob) as actuator:
        actuator.set(1980, 0)
        assert actuator.set(1110, 1, Precedence.CAP).in_force == 1110
        assert actuator.set(288, 2, Precedence.BRAKE).in_force == 285
        assert actuator.set(1980, 3).outcome is Outcome.DEFERRED


def test_a_brake_below_the_range_takes_the_lowest_clock_and_a_policy_is_refused():
    knob = FakeKnob()
    with Actuator(knob) as actuator:
        assert actuator.set(100, 0, Precedence.BRAKE).in_force == 210
        for value in (100, 1981):
            with pytest.raises(HardwareRefused, match=f"{value} MHz lies outside 210 to 1980 MHz"):
                actuator.set(value, 10 * SECOND)
        with pytest.raises(HardwareRefused, match="outside 210 to 1980 MHz"):
            actuator.set(100, 10 * SECOND, Precedence.CAP)
        assert knob.writes == [210]


def test_what_took_effect_is_told_where_it_differs():
    knob = FakeKnob()
    knob.taken = lambda value: value - 45
    with Actuator(knob) as actuator:
        change = actuator.set(1395, 0)
    assert change.in_force == 1350
    assert change.remark == "1350 MHz in force, not 1395"


def test_an_observed_clock_need_not_be_the_set_one():
    knob = FakeKnob(exact=False)
    knob.taken = lambda value: 345
    with Actuator(knob) as actuator:
        change = actuator.set(1395, 0)
        assert (change.in_force, change.remark) == (345, "")
        knob.value = 360
        assert actuator.observe() == 360
        assert actuator.set(1395, 10 * SECOND).outcome is Outcome.UNCHANGED


def test_a_knob_that_somebody_else_moved_is_set_again():
    knob = FakeKnob()
    with Actuator(knob) as actuator:
        actuator.set(1395, 0)
        knob.value = 1980
        assert actuator.observe() == 1980
        assert actuator.set(1395, 10 * SECOND).outcome is Outcome.CHANGED


def test_a_dry_run_touches_nothing_but_keeps_the_pace():
    knob = FakeKnob()
    with Actuator(knob, dry_run=True) as actuator:
        assert actuator.set(1400, 0).outcome is Outcome.DRY_RUN
        assert actuator.set(1400, 1).outcome is Outcome.UNCHANGED
        assert actuator.set(1200, 2).outcome is Outcome.DEFERRED
        assert actuator.observe() == 1980
    assert knob.writes == []
    assert knob.released == 1


def test_a_write_that_failed_is_not_taken_for_done():
    knob = FakeKnob()
    with Actuator(knob) as actuator:
        knob.error = HardwareDenied("fake", "no", "run as root")
        with pytest.raises(HardwareDenied):
            actuator.set(1395, 0)
        knob.error = None
        assert actuator.set(1395, 1).outcome is Outcome.DEFERRED
        assert actuator.set(1395, INTERVAL_NS).outcome is Outcome.CHANGED


def test_after_a_write_that_failed_nobody_knows_where_the_knob_stands():
    knob = FakeKnob()
    with Actuator(knob, interval_ns=0) as actuator:
        actuator.set(1395, 0)
        knob.error = HardwareError("fake", "no answer", "look")
        with pytest.raises(HardwareError):
            actuator.set(300, 1)
        knob.error = None
        assert actuator.set(1395, 2).outcome is Outcome.CHANGED


def test_it_is_given_back_once_even_where_restoring_fails(monkeypatch):
    knob = FakeKnob()
    actuator = Actuator(knob)
    actuator.set(300, 0)

    def restore():
        raise HardwareError("fake", "gone", "look")

    monkeypatch.setattr(knob, "restore", restore)
    with pytest.raises(HardwareError, match="gone"):
        actuator.close()
    actuator.close()
    assert knob.released == 1
    with pytest.raises(ValueError, match="given back"):
        actuator.set(300, 1)


def test_untouched_it_is_not_restored():
    knob = FakeKnob(original=1000)
    with Actuator(knob):
        knob.value = 1500  # somebody else's business
    assert knob.value == 1500


def test_an_arbiters_rulings_reach_the_knob():
    """POLCA caps, brakes and lets go while DynamoLLM wishes: the knob follows the arbiter, with the policy's pace."""
    knob, arbiter = FakeKnob(), ClockArbiter(210, 1980, 288)
    with Actuator(knob) as actuator:

        def follow(ruling, now_s):
            return actuator.set(ruling.clock_mhz, now_s * SECOND, ruling.limited_by).outcome

        assert follow(arbiter.wish(1605), 0) is Outcome.CHANGED
        assert follow(arbiter.cap(1275), 1) is Outcome.CHANGED
        assert follow(arbiter.wish(1800), 2) is Outcome.UNCHANGED
        assert follow(arbiter.brake(True), 3) is Outcome.CHANGED
        assert follow(arbiter.brake(False), 4) is Outcome.CHANGED
        assert follow(arbiter.cap(0), 5) is Outcome.DEFERRED
        assert follow(arbiter.ruling, 9) is Outcome.CHANGED
    assert knob.writes == [1605, 1275, 285, 1275, 1800]


class ActuatorMachine(RuleBasedStateMachine):
    """Whoever asks for whatever: policies keep the pace, nothing leaves the range, nothing is set twice in a row."""

    def __init__(self):
        super().__init__()
        self.knob = FakeKnob(original=1500)
        self.actuator = Actuator(self.knob)
        self.now = 0
        self.changes = []

    @rule(
        value=st.integers(0, 2200),
        by=st.sampled_from(Precedence),
        gap=st.integers(0, 7 * SECOND),
    )
    def ask(self, value, by, gap):
        self.now += gap
        writes = len(self.knob.writes)
        try:
            change = self.actuator.set(value, self.now, by)
        except HardwareRefused:
            assert not 210 <= value <= 1980
            assert len(self.knob.writes) == writes
            return
        assert change.sent <= max(value, 210)
        assert (len(self.knob.writes) > writes) == (change.outcome is Outcome.CHANGED)
        if change.outcome is Outcome.CHANGED:
            if by is Precedence.POLICY and self.changes:
                assert self.now - self.changes[-1] >= INTERVAL_NS
            self.changes.append(self.now)

    @invariant()
    def nothing_is_set_twice_in_a_row_or_out_of_range(self):
        writes = self.knob.writes
        assert all(first != second for first, second in pairwise(writes))
        assert all(value in STEPS for value in writes)

    def teardown(self):
        self.actuator.close()
        assert self.knob.value == 1500


TestActuatorMachine = ActuatorMachine.TestCase


@given(st.integers(210, 1980))
def test_a_fitting_value_is_the_highest_step_at_or_below(value):
    fitting = FakeKnob.limits.fitting("x", value)
    assert fitting in STEPS
    assert fitting <= value < fitting + 15


def test_pacing_forgets_and_refuses_a_negative_interval():
    pacing = Pacing(0)
    pacing.sent(5, 0)
    assert pacing.verdict(5, Precedence.POLICY, 0) is Verdict.SAME
    pacing.forget()
    assert pacing.verdict(5, Precedence.POLICY, 0) is Verdict.SEND
    with pytest.raises(ValueError, match="negative"):
        Pacing(-1)


PROGRAM = """
import sys
from pathlib import Path
from inference.actuators.actuator import Actuator
from inference.actuators.cpufreq import CpuClockKnob
from inference.meters.sysfs import HostRoots

root = Path(sys.argv[1])
actuator = Actuator(CpuClockKnob(roots=HostRoots(root / "sys", root / "proc")))
print(actuator.set(1000, 0).in_force)
{end}
"""


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemError('boom')"])
def test_whoever_forgets_to_close_has_the_original_back_at_exit(tmp_path, repository, end):
    from tests.unit.inference.actuators import trees

    host = trees.intel_pstate(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end), str(tmp_path)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1000\n", done.stderr
    bound = Path(host.sys / "devices/system/cpu/cpu1/cpufreq/scaling_max_freq")
    assert bound.read_text().strip() == "3200000"
