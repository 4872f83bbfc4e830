import os

import pytest

from loadtests.memory import Growth, Reading, note
from loadtests.series import OURS, Series


def test_growth_is_per_replica_in_mib() -> None:
    grown = Reading(-1000, 5000, 2000).growth_mib(Reading(-21480, 2952, 976), replicas=2)
    assert grown == Growth(available=10, kernel=1, platform=0.5)


@pytest.mark.parametrize(("kernel_ours", "expected"), [(1.5, 1.75), (0.1, 0.75)])
def test_platform_memory_leaves_out_what_the_function_takes(
    kernel_ours: float, expected: float
) -> None:
    series = Series("memory")
    note(series, Growth(4, kernel_ours, 0.75), Growth(2, 0.5, 0))
    assert series.of(OURS, "platform_mib_per_replica") == [expected]
    assert series.of(OURS, "platform_kernel_mib_per_replica") == [pytest.approx(kernel_ours - 0.5)]
    assert (
        series.of(OURS, "available_mib_per_replica"),
        series.of("bare", "available_mib_per_replica"),
    ) == ([4], [2])


def test_reading_of_this_machine() -> None:
    found = Reading.now([os.getpid()])
    assert found.taken < 0
    assert found.kernel > 0
    assert found.platform > 1000
