"""Row controllers under simulated time: a toy row obeys commands after their delays, while samples are drawn freely."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.action import SetBrake, SetCap
from inference.domain.request import Priority
from inference.policies.power.control_table import SECOND_NS, ControlTable, Edge, Level, markdown
from inference.policies.power.controller import RowController
from inference.policies.power.no_cap import no_cap
from inference.policies.power.polca import Thresholds, polca, polca_table
from inference.policies.power.single_threshold import single_threshold
from inference.policies.protocols import PowerPolicy

PROVISIONED_W = 1000.0
PRIORITIES = (Priority.LOW, Priority.HIGH, Priority.LOW)
CLOCK_MHZ_MAX = 1410

MAKERS: tuple[Callable[[], RowController], ...] = (
    lambda: polca(PROVISIONED_W, PRIORITIES),
    lambda: no_cap(PROVISIONED_W, PRIORITIES),
    lambda: single_threshold(PROVISIONED_W, PRIORITIES, all_priorities=False),
    lambda: single_threshold(PROVISIONED_W, PRIORITIES, all_priorities=True),
)
makers = st.sampled_from(MAKERS)
shares = st.lists(
    st.one_of(st.floats(0.5, 1.2), st.sampled_from((0.75, 0.80, 0.84, 0.89, 1.0))), max_size=120
)


class ToyRow:
    """Keeps every command with the time at which it was given and at which it lands."""

    def __init__(self, policy: PowerPolicy) -> None:
        self.policy = policy
        self.now_ns = 0
        self.caps: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        self.brakes: list[tuple[int, int, bool]] = []

    def sample(self, share: float) -> None:
        self.now_ns += self.policy.telemetry_ns
        for action in self.policy.sample(share * PROVISIONED_W, self.now_ns):
            lands_ns = self.now_ns + action.delay_ns  # type: ignore[union-attr]
            if isinstance(action, SetCap):
                self.caps[action.replica].append((self.now_ns, lands_ns, action.clock_mhz))
            elif isinstance(action, SetBrake) and action.replica == 0:
                self.brakes.append((self.now_ns, lands_ns, action.engaged))

    def run(self, samples: Sequence[float]) -> "ToyRow":
        for share in samples:
            self.sample(share)
        return self

    def cap_mhz(self, replica: int) -> int:
        landed = [mhz for _, lands_ns, mhz in self.caps[replica] if lands_ns <= self.now_ns]
        return landed[-1] if landed else 0

    def clock_mhz(self, replica: int) -> int:
        return min(CLOCK_MHZ_MAX, self.cap_mhz(replica) or CLOCK_MHZ_MAX)


def polca_row() -> ToyRow:
    return ToyRow(polca(PROVISIONED_W, PRIORITIES))


def test_t1_brings_low_priority_to_the_base_clock_after_40_s() -> None:
    row = polca_row().run([0.81])
    assert [(replica, caps[0]) for replica, caps in row.caps.items()] == [
        (0, (2 * SECOND_NS, 42 * SECOND_NS, 1275)),
        (2, (2 * SECOND_NS, 42 * SECOND_NS, 1275)),
    ]
    row.run([0.81] * 20)
    assert [row.clock_mhz(replica) for replica in range(3)] == [1275, 1410, 1275]


def test_t2_caps_low_priority_and_high_only_if_still_above_once_that_has_landed() -> None:
    row = polca_row().run([0.9] * 21)
    assert [row.cap_mhz(replica) for replica in range(3)] == [1110, 0, 1110]
    assert not row.caps[1]
    row.run([0.9])  # the first period that lies wholly after the landing
    assert row.caps[1] == [(44 * SECOND_NS, 84 * SECOND_NS, 1305)]


def test_high_priority_is_spared_when_low_priority_suffices() -> None:
    row = polca_row().run([0.9] + [0.88] * 100)
    assert 1 not in row.caps
    assert row.cap_mhz(0) == 1110


def test_caps_are_lifted_5_percent_below_their_threshold() -> None:
    row = polca_row().run([0.9] * 60 + [0.83] * 30)
    assert [row.cap_mhz(replica) for replica in range(3)] == [1275, 0, 1275]
    row.run([0.75] * 30)
    assert row.cap_mhz(0) == 1275
    row.run([0.749] * 30)
    assert row.cap_mhz(0) == 0


def test_edges_belong_where_the_paper_puts_them() -> None:
    assert not polca_row().run([0.80] * 5).caps
    assert polca_row().run([0.8001] * 5).caps
    row = polca_row().run([0.89] * 50)
    assert row.cap_mhz(0) == 1275


def test_a_deeper_cap_waits_for_the_one_in_flight() -> None:
    row = polca_row().run([0.81, 0.9] + [0.9] * 40)
    assert [mhz for _, _, mhz in row.caps[0]] == [1275, 1110]
    assert row.caps[0][1][0] == row.caps[0][0][1]


def test_brake_and_release() -> None:
    row = polca_row().run([1.01])
    assert row.brakes == [(2 * SECOND_NS, 7 * SECOND_NS, True)]
    assert row.caps[1] == [(2 * SECOND_NS, 42 * SECOND_NS, 1305)], "capped before it is let go"
    row.run([0.5] * 20)
    assert len(row.brakes) == 1, "the caps have not landed yet"
    row.run([0.5])
    assert [engaged for _, _, engaged in row.brakes] == [True, False]
    assert isinstance(row.policy, RowController)
    assert row.policy.brakes == 1
    assert row.cap_mhz(0) == 1110, "caps survive the brake"


def test_no_cap_only_brakes() -> None:
    row = ToyRow(no_cap(PROVISIONED_W, PRIORITIES)).run([0.99] * 10 + [1.1] + [0.6] * 9)
    assert not row.caps
    assert [engaged for _, _, engaged in row.brakes] == [True, False]


@pytest.mark.parametrize(("everyone", "capped"), [(False, {0, 2}), (True, {0, 1, 2})])
def test_single_threshold_caps_whom_its_name_says(everyone: bool, capped: set[int]) -> None:
    policy = single_threshold(PROVISIONED_W, PRIORITIES, all_priorities=everyone)
    row = ToyRow(policy).run([0.85] * 5)
    assert not row.caps
    row.run([0.9] * 3)
    assert set(row.caps) == capped


@given(makers, shares)
def test_at_most_one_cap_command_is_in_flight_for_a_replica(
    maker: Callable[[], RowController], samples: list[float]
) -> None:
    row = ToyRow(maker()).run(samples)
    for commands in row.caps.values():
        assert all(before[1] <= after[0] for before, after in pairwise(commands))


@given(makers, shares)
def test_the_brake_holds_within_10_s_of_an_overload_and_never_doubles(
    maker: Callable[[], RowController], samples: list[float]
) -> None:
    row = ToyRow(maker())
    for share in samples:
        row.sample(share)
        if share > 1.0:
            engaged = [lands_ns for given_ns, lands_ns, on in row.brakes if on]
            released = [lands_ns for _, lands_ns, on in row.brakes if not on]
            # The overload was at most one telemetry period ago. A release that is still in flight must land first.
            assert engaged or released
            if not released or released[-1] <= row.now_ns:
                assert engaged[-1] - (row.now_ns - row.policy.telemetry_ns) <= 10 * SECOND_NS
    assert [on for _, _, on in row.brakes] == [i % 2 == 0 for i in range(len(row.brakes))]
    assert all(before[1] <= after[0] for before, after in pairwise(row.brakes))


@given(makers, shares)
def test_caps_only_lower_the_clock(
    maker: Callable[[], RowController], samples: list[float]
) -> None:
    row = ToyRow(maker())
    for share in samples:
        row.sample(share)
        assert all(0 < row.clock_mhz(replica) <= CLOCK_MHZ_MAX for replica in range(3))
    assert all(0 <= mhz < CLOCK_MHZ_MAX for caps in row.caps.values() for _, _, mhz in caps)


@given(makers, shares, st.integers(0, 4), st.data())
def test_power_that_stays_in_one_band_never_makes_a_cap_flap(
    maker: Callable[[], RowController], history: list[float], band: int, data: st.DataObject
) -> None:
    row = ToyRow(maker()).run(history)
    edges = (0.5, 0.75, 0.80, 0.84, 0.89, 1.0)
    inside = st.floats(edges[band], edges[band + 1], exclude_min=True, exclude_max=True)
    row.run([data.draw(inside)] * 30)  # brake released, what was in flight landed
    before = {replica: len(caps) for replica, caps in row.caps.items()}
    row.run(data.draw(st.lists(inside, max_size=150)))
    for replica, caps in row.caps.items():
        given_mhz = [mhz or CLOCK_MHZ_MAX for _, _, mhz in caps[before.get(replica, 0) :]]
        rising = sorted(given_mhz)
        assert given_mhz in (rising, rising[::-1]), "capped and lifted inside one band"
        assert len(given_mhz) <= 2


@given(st.lists(st.floats(0.84, 0.89, exclude_max=True), max_size=200))
def test_inside_a_hysteresis_gap_nothing_is_commanded(samples: list[float]) -> None:
    row = polca_row().run([0.9] * 23)  # low capped, the high cap just given
    row.run([0.87] * 30)
    commands = sum(len(caps) for caps in row.caps.values())
    row.run(samples)
    assert sum(len(caps) for caps in row.caps.values()) == commands


@given(makers, shares)
def test_the_same_samples_give_the_same_commands(
    maker: Callable[[], RowController], samples: list[float]
) -> None:
    first, second = ToyRow(maker()).run(samples), ToyRow(maker()).run(samples)
    assert (first.caps, first.brakes) == (second.caps, second.brakes)


@pytest.mark.parametrize(
    ("levels", "edges", "transitions", "message"),
    [
        ((Level("a"), Level("b", 1200)), (0.8, 0.7), ((0, 0, 1), (0, 1, 1)), "edges must rise"),
        ((Level("a"), Level("b", 1200)), (0.8,), ((0, 1),), "a row per level"),
        ((Level("a"), Level("b", 1200)), (0.8,), ((0, 2), (0, 1)), "leads to no level"),
        ((Level("a"), Level("b", 1200)), (0.8,), ((1, 0), (0, 1)), "more power"),
        ((Level("a", 1100), Level("b", 1200)), (0.8,), ((0, 1), (0, 1)), "raise a clock"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(
    levels: tuple[Level, ...],
    edges: tuple[float, ...],
    transitions: tuple[tuple[int, ...], ...],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        ControlTable("bad", levels, tuple(Edge(share, above=True) for share in edges), transitions)


@pytest.mark.parametrize(
    "at", [{"t1": 0.86}, {"t2": 0.84}, {"lift": 0.0}, {"t2": 1.0}, {"t1": 0.04}]
)
def test_thresholds_that_would_fight_are_refused(at: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected 0 < t1"):
        Thresholds(**at)


def test_no_provisioned_power_is_refused() -> None:
    with pytest.raises(ValueError, match="provisioned_w"):
        polca(0.0, PRIORITIES)


def test_the_table_draws_itself() -> None:
    assert markdown(polca_table()).splitlines()[2:6] == [
        "| uncapped | no cap | no cap | uncapped | uncapped | low at base | low at base | low capped |",
        "| low at base | 1275 MHz | no cap | uncapped | low at base | low at base | low at base | low capped |",
        "| low capped | 1110 MHz | no cap | uncapped | low at base | low at base | low capped | all capped* |",
        "| all capped | 1110 MHz | 1305 MHz | uncapped | low at base | low at base | all capped | all capped |",
    ]


def test_the_documentation_shows_this_very_table() -> None:
    page = Path(__file__).parents[4] / "docs" / "polca.md"
    assert markdown(polca_table()) in page.read_text(encoding="utf-8")
