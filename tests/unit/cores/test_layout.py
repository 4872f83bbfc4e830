import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.cores.host import layout_of, restrict, usable_cores
from junctiond.cores.layout import Mode, parse_cores, plan, show_cores
from junctiond.settings import Settings, SettingsError, load

CORES = st.frozensets(st.integers(0, 200), min_size=1, max_size=40)


@given(CORES)
def test_lists_of_cores_are_read_as_they_are_written(cores: frozenset[int]) -> None:
    assert parse_cores(show_cores(cores)) == cores


@pytest.mark.parametrize("text", ["", "a", "1-", "3-2", "0-99999", "0,,1", "-1", "0x1", "²"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"list of cores|range"):
        parse_cores(text)
    if text:
        with pytest.raises(SettingsError, match="cores"):
            load(cores=text)


@given(CORES, st.sampled_from(Mode), st.integers(0, 100))
def test_workers_sit_on_usable_cores(cores: frozenset[int], mode: Mode, workers: int) -> None:
    layout = plan(mode, cores, workers)
    assert set(layout.doors) <= cores
    assert len(layout.doors) <= 64
    assert (layout.doors == ()) == (mode is Mode.OFF)


@pytest.mark.parametrize(
    ("mode", "cores", "workers", "doors"),
    [
        (Mode.BALANCED, 1, 0, (0,)),
        (Mode.BALANCED, 2, 0, (0,)),
        (Mode.BALANCED, 8, 0, (0, 1, 2, 3)),
        (Mode.ECO, 8, 0, (0,)),
        (Mode.ECO, 8, 2, (0, 1)),
        (Mode.LATENCY, 2, 3, (0, 1, 0)),
        (Mode.OFF, 8, 4, ()),
    ],
)
def test_the_number_of_workers_follows_the_cores(
    mode: Mode, cores: int, workers: int, doors: tuple[int, ...]
) -> None:
    assert plan(mode, range(cores), workers).doors == doors


def test_a_host_uses_what_it_was_given() -> None:
    have = usable_cores()
    last = max(have)
    try:
        restrict(load(cores=str(last)))
        assert layout_of(Settings()).usable == (last,)
        restrict(Settings())
        assert usable_cores() == {last}, "no setting leaves what systemd or taskset chose"
        with pytest.raises(SettingsError, match="may use"):
            restrict(load(cores="8000"))
    finally:
        os.sched_setaffinity(0, have)
    with pytest.raises(SettingsError, match="latency, balanced, eco, off"):
        load(placement="fast")
