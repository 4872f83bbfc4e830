"""Goal: energy between two samples is exact through a wrap, and never more than was used where a counter began anew."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inference.meters.delta import Continuity, counter_delta_uj, energy_delta
from inference.meters.protocols import Coverage, Domain, Sample, Scope
from inference.models.provenance import Origin

SECOND = 1_000_000_000
INTEL_UJ = 262_143_328_850
AMD_UJ = 65_532_610_987

PACKAGE = Domain(
    "package-0", Scope.PACKAGE, Origin.MEASURED, wraps_at_uj=INTEL_UJ, power_w_max=1000.0
)
GPU = Domain("gpu-0", Scope.GPU, Origin.MEASURED, power_w_max=2000.0)


@given(
    wraps_at=st.sampled_from([INTEL_UJ, AMD_UJ, 1_000_003]),
    start=st.integers(0, 2**40),
    elapsed=st.integers(0, 1000 * SECOND),
    share=st.floats(0.0, 1.0),
)
def test_energy_through_a_wrap_is_exact(wraps_at, start, elapsed, share):
    domain = Domain("p", Scope.PACKAGE, Origin.MEASURED, wraps_at_uj=wraps_at, power_w_max=1000.0)
    assume(elapsed < domain.period_ns_max)
    used = int(share * elapsed)  # 1000 W for `elapsed` ns is as many µJ
    before, after = start % wraps_at, (start + used) % wraps_at
    energy, continuity = counter_delta_uj(domain, before, after, elapsed)
    assert energy == used
    assert continuity is (Continuity.WRAPPED if after < before else Continuity.SURE)


@given(
    start=st.integers(0, INTEL_UJ - 1),
    elapsed=st.integers(263 * SECOND, 10_000 * SECOND),
    share=st.floats(0.0, 1.0),
)
def test_a_wrap_that_may_be_missed_is_a_lower_bound(start, elapsed, share):
    used = int(share * elapsed)
    energy, continuity = counter_delta_uj(PACKAGE, start, (start + used) % INTEL_UJ, elapsed)
    assert continuity is Continuity.MISSED
    assert continuity.lower_bound
    assert energy <= used
    assert (used - energy) % INTEL_UJ == 0


@given(
    before=st.integers(0, 2**60),
    used_before=st.integers(0, 10**12),
    used_after=st.integers(0, 10**12),
    elapsed=st.integers(0, 1000 * SECOND),
)
def test_a_reset_of_a_counter_without_wrap_is_a_lower_bound(
    before, used_before, used_after, elapsed
):
    """It read `before`, rose by `used_before`, began anew at 0 and rose by `used_after`."""
    assume(used_after < before)
    energy, continuity = counter_delta_uj(GPU, before, used_after, elapsed)
    assert continuity is Continuity.RESET
    assert energy == used_after <= used_before + used_after


@given(
    before=st.integers(0, INTEL_UJ - 1),
    after=st.integers(0, INTEL_UJ - 1),
    elapsed=st.integers(0, 262 * SECOND),
)
def test_no_two_readings_give_more_power_than_the_device_has(before, after, elapsed):
    energy, continuity = counter_delta_uj(PACKAGE, before, after, elapsed)
    assert energy >= 0
    if continuity in (Continuity.SURE, Continuity.WRAPPED):
        assert energy <= elapsed + SECOND


def test_a_package_reset_in_mid_range_is_not_taken_for_a_wrap():
    assert counter_delta_uj(PACKAGE, INTEL_UJ // 2, 5_000_000, 10 * SECOND) == (
        5_000_000,
        Continuity.RESET,
    )


def test_a_rise_beyond_all_power_is_another_counter():
    """A virtual machine moved to another host: its counter says nothing of the time between."""
    assert counter_delta_uj(PACKAGE, 0, 10**11, SECOND) == (0, Continuity.RESET)


def test_two_reads_at_once_may_differ_by_a_refresh():
    assert counter_delta_uj(GPU, 0, 70_000_000, 1) == (70_000_000, Continuity.SURE)


@pytest.mark.parametrize(("before", "after", "elapsed"), [(-1, 0, 1), (0, -1, 1), (0, 1, -1)])
def test_nonsense_is_refused(before, after, elapsed):
    with pytest.raises(ValueError, match="package-0"):
        counter_delta_uj(PACKAGE, before, after, elapsed)


DRAM = Domain("package-0/dram", Scope.DRAM, Origin.MEASURED, wraps_at_uj=AMD_UJ)
CORE = Domain("package-0/core", Scope.CORE, Origin.MEASURED, inside="package-0")
MODEL = Domain("cpu", Scope.PACKAGE, Origin.MODELLED)


def sample(at_s, failed=None, **energy_j):
    names = {"p": "package-0", "d": "package-0/dram", "c": "package-0/core", "m": "cpu"}
    return Sample(
        at_s * SECOND,
        {names[key]: value * 1_000_000 for key, value in energy_j.items()},
        failed or {},
    )


def test_scopes_and_total_count_nothing_twice():
    coverage = Coverage("powercap", (PACKAGE, CORE, DRAM))
    delta = energy_delta(coverage, sample(0, p=10, c=5, d=1), sample(10, p=510, c=305, d=101))
    assert delta.power_w("package-0") == 50.0
    package, total = delta.scope(Scope.PACKAGE), delta.outermost
    assert package is not None
    assert total is not None
    assert (package.energy_j, total.energy_j) == (500.0, 600.0)
    assert not total.lower_bound
    assert total.origin is Origin.MEASURED
    assert delta.scope(Scope.GPU) is None


def test_one_modelled_part_makes_a_sum_modelled():
    coverage = Coverage("both", (DRAM, MODEL))
    delta = energy_delta(coverage, sample(0, d=0, m=0), sample(1, d=3, m=9))
    assert delta.outermost is not None
    assert (delta.outermost.energy_j, delta.outermost.origin) == (12.0, Origin.MODELLED)
    dram = delta.scope(Scope.DRAM)
    assert dram is not None
    assert dram.origin is Origin.MEASURED
    assert coverage.origin is Origin.MODELLED


def test_a_domain_that_could_not_be_read_is_named_and_bounds_the_sum():
    coverage = Coverage("powercap", (PACKAGE, DRAM))
    delta = energy_delta(
        coverage, sample(0, p=0, d=0), sample(1, p=5, failed={"package-0/dram": "gone"})
    )
    assert delta.failed == {"package-0/dram": "gone"}
    assert delta.outermost is not None
    assert delta.outermost.energy_j == 5.0
    assert delta.outermost.lower_bound
    with pytest.raises(KeyError):
        delta.power_w("package-0/dram")


def test_equal_times_have_no_power_and_older_samples_are_refused():
    coverage = Coverage("powercap", (PACKAGE,))
    assert energy_delta(coverage, sample(5, p=1), sample(5, p=1)).power_w("package-0") == 0.0
    with pytest.raises(ValueError, match="wrong way round"):
        energy_delta(coverage, sample(5, p=1), sample(4, p=1))


def test_the_shortest_wrap_bounds_the_reading_period():
    amd = Domain("a", Scope.PACKAGE, Origin.MEASURED, wraps_at_uj=AMD_UJ, power_w_max=1000.0)
    coverage = Coverage("powercap", (PACKAGE, amd, GPU))
    assert 65 * SECOND < coverage.period_ns_max < 66 * SECOND
    assert Coverage("NVML", (GPU,)).period_ns_max == 0
    assert Coverage("powercap", (PACKAGE, GPU)).scopes == {Scope.PACKAGE, Scope.GPU}
