import pytest

from loadtests.demo import Figures, excerpt, summary
from loadtests.record import Subject
from loadtests.series import OURS, Series, unit_of
from tests.unit.loadtests.facts import PROVENANCE


def test_records_of_a_series() -> None:
    series = Series("warm", Subject("aes", "fd", "split"))
    for ours, bare in ((100, 50), (300, 100), (120, 60)):
        series.add(OURS, "latency_us_p50", ours)
        series.add("bare", "latency_us_p50", bare)
        series.add(OURS, "cpu_us_c8_front_door", 7)
    series.add("bare", "only_bare_ms", 1)
    made = series.records(["bare", "bridge"], PROVENANCE)
    assert [(one.figure, one.baseline) for one in made] == [
        ("latency_us_p50", "bare"),
        ("cpu_us_c8_front_door", None),
    ]
    assert (made[0].value, made[0].baseline_value, made[0].ratio) == (120, 60, 2)
    assert made[0].difference == 60
    assert (made[0].met, made[1].met) == (False, None)
    assert (made[0].subject, made[0].attachment, made[0].placement) == ("aes", "fd", "split")


@pytest.mark.parametrize(
    ("figure", "unit"),
    [
        ("latency_us_p99", "us"),
        ("rps_c8", "1/s"),
        ("launch_to_first_200_ms_p50", "ms"),
        ("platform_mib_per_replica", "MiB"),
        ("cpu_us_c8", "us"),
        ("cold_starts_per_s", "1/s"),
        ("idle1000_cpu_cores", "cores"),
        ("leaked10000_count", ""),
    ],
)
def test_units(figure: str, unit: str) -> None:
    assert unit_of(figure) == unit


def test_a_figure_without_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unit"):
        unit_of("requests")


def test_excerpt_of_an_answer_is_one_safe_line() -> None:
    assert excerpt(b"\x1b[2Jhi\nthere\n") == "' [2Jhi there'"
    assert excerpt(b"\xff\xfe\x00") == "3 bytes"
    assert len(excerpt(b"x" * 1000)) < 70


def test_summary_has_a_row_per_target() -> None:
    results = {name: Figures([60, 80], [5, 6], [1000]) for name in (OURS, "bridge", "bare")}
    assert summary(results).row_count == 3
