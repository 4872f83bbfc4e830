from loadtests.leaks import Counts, growth
from loadtests.series import OURS, Series
from loadtests.sustained import Tally, note, windows

COUNTS = Counts(
    processes=4,
    descriptors=90,
    threads=12,
    mounts=3,
    cgroups=5,
    sandboxes=0,
    rows=130,
    memory_mib=80.0,
)


def tally(starts: int, step_ns: int = 4_000_000) -> Tally:
    ended = [number * step_ns for number in range(starts)]
    return Tally(starts, starts, ended, [10.0 + number % 3 for number in range(starts)])


def test_windows_are_equal_parts_in_order():
    parts = windows(tally(23), 5)
    assert [len(ended) for ended, _ in parts] == [4, 4, 4, 4, 4]
    assert parts[1][0][0] == 4 * 4_000_000
    assert windows(tally(1), 5) == []


def test_rate_is_of_the_time_between_ends():
    series = Series("sustained")
    note(series, tally(100))
    assert series.of(OURS, "cold_starts_per_s") == [250.0] * 5
    assert series.of(OURS, "cold_start_ms_p50") == [11.0] * 5
    assert series.of(OURS, "cold_start_ms_p99") == [12.0] * 5


def test_growth_names_what_there_is_more_of():
    after = Counts(4, 92, 11, 3, 6, 0, 130, 99.0)
    assert growth(COUNTS, after) == {"descriptors": 2, "cgroups": 1}
    assert growth(COUNTS, COUNTS) == {}
