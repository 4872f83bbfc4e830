import numpy as np
import pytest

from inference.row.result import statistics_of


def test_statistics_of_a_known_series() -> None:
    power_w = np.full(400, 50.0)
    power_w[100:102] = 58.0  # one telemetry sample
    power_w[200:300] = np.linspace(50.0, 75.0, 100)  # 0.25 a second: 10 in 40 s
    found = statistics_of(power_w, 100.0)
    assert found.peak == pytest.approx(0.75, abs=0.002)
    assert found.rise_2s == pytest.approx(0.08)
    assert found.rise_40s == pytest.approx(0.101, abs=0.002)


@pytest.mark.parametrize("samples_apart", [19, 20])
def test_a_rise_counts_up_to_40_s(samples_apart: int) -> None:
    power_w = np.full(200, 50.0)
    power_w[100:102] = 40.0
    power_w[100 + 2 * samples_apart : 102 + 2 * samples_apart] = 60.0
    assert statistics_of(power_w, 100.0).rise_40s == pytest.approx(0.20)


def test_a_rise_over_more_than_40_s_does_not_count() -> None:
    power_w = np.full(200, 50.0)
    power_w[100:102] = 40.0
    power_w[142:144] = 60.0
    assert statistics_of(power_w, 100.0).rise_40s == pytest.approx(0.10)


def test_a_fall_is_no_rise() -> None:
    assert statistics_of(np.linspace(90.0, 10.0, 100), 100.0).rise_40s == 0.0
