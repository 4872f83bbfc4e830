"""Goal: the placement policy moves whom it should, and nobody to and fro. Method: scenes, then a simulated host."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from junctiond.cores import policy as rules
from junctiond.cores.base import Assignment, Seat, Signals, Wish
from junctiond.cores.layout import Layout, Mode, plan
from junctiond.cores.policy import PlacementPolicy

MS = 1_000_000
LOOK_MS = 250


def balanced(cores: int, workers: int = 0) -> Layout:
    return plan(Mode.BALANCED, range(cores), workers)


class Scene:
    """A policy and a clock; each look lasts a quarter of a second."""

    def __init__(self, layout: Layout) -> None:
        self.policy = PlacementPolicy(layout)
        self.now_ns = 0
        self.moves: list[tuple[str, Assignment]] = []

    def arrive(self, sandbox: str, wish: Wish = Wish.HOST) -> Assignment:
        begin = self.policy.arrive(sandbox, wish, self.now_ns)
        # Long enough ago to be moved.
        self.now_ns += 4_000 * MS
        return begin

    def look(
        self,
        busy: Mapping[int, float],
        shares: Mapping[str, float],
        door: Mapping[int, float],
        looks: int = 1,
        rate: float = 0.0,
    ) -> None:
        for _ in range(looks):
            self.now_ns += LOOK_MS * MS
            rates = dict.fromkeys(shares, rate)
            seen = Signals(busy, door, shares if self.policy.wants_shares else {}, rates)
            self.moves += self.policy.decide(seen, LOOK_MS * MS, self.now_ns)

    def seat(self, sandbox: str) -> tuple[Seat, tuple[int, ...]]:
        assignment = self.policy.assignment(sandbox)
        assert assignment is not None
        return assignment.seat, assignment.cores


def test_where_sandboxes_begin() -> None:
    assert Scene(balanced(2)).arrive("a").cores == (0,)
    assert Scene(balanced(2)).arrive("a", Wish.MANY).cores == (0, 1)
    assert Scene(balanced(8)).arrive("a").cores == tuple(range(8)), "it may compute on all cores"
    many = Scene(balanced(8))
    homes = [many.arrive(name, Wish.ONE).cores for name in "abcde"]
    assert homes == [(0,), (1,), (2,), (3,), (0,)], "dealt out to the workers"
    assert Scene(plan(Mode.ECO, range(8))).arrive("a").cores == (0,)
    assert Scene(balanced(1)).arrive("a").reason == rules.ONE_CORE
    off = Scene(plan(Mode.OFF, range(2))).arrive("a")
    assert (off.cores, off.reason) == ((), rules.NOT_PINNED)


def test_an_idle_host_asks_nothing() -> None:
    scene = Scene(balanced(2))
    scene.arrive("a")
    scene.look({0: 0.1, 1: 0.9}, {"a": 0.0}, {0: 0.05}, looks=10)
    assert scene.policy.calm
    assert not scene.policy.wants_shares
    assert scene.moves == []


def test_a_burner_leaves_its_worker_even_to_a_busy_core() -> None:
    scene = Scene(balanced(2))
    for name in ("burner", "light"):
        scene.arrive(name)
    shares = {"burner": 0.9, "light": 0.03}
    scene.look({0: 1.0, 1: 0.9}, shares, {0: 0.05}, looks=3)
    assert scene.seat("burner") == (Seat.SPREAD, (1,))
    assert scene.seat("light") == (Seat.PAIRED, (0,))
    assert [name for name, _ in scene.moves] == ["burner"]


def test_a_burner_is_known_although_other_programs_have_most_of_the_core() -> None:
    scene = Scene(balanced(2))
    scene.arrive("burner")
    scene.look({0: 1.0, 1: 1.0}, {"burner": 0.15}, {0: 0.02}, looks=3)
    assert scene.seat("burner") == (Seat.SPREAD, (1,))


def test_a_function_that_answers_much_stays_while_the_other_core_is_the_clients() -> None:
    scene = Scene(balanced(2))
    scene.arrive("aes")
    scene.look({0: 1.0, 1: 0.7}, {"aes": 0.6}, {0: 0.4}, looks=40, rate=20_000)
    assert scene.seat("aes") == (Seat.PAIRED, (0,))
    scene.look({0: 1.0, 1: 0.05}, {"aes": 0.6}, {0: 0.4}, looks=2, rate=20_000)
    assert scene.seat("aes") == (Seat.SPREAD, (1,)), "the client is elsewhere: there is room"


def test_who_starts_may_compute() -> None:
    policy = PlacementPolicy(balanced(2))
    policy.arrive("node", Wish.HOST, 0)
    seen = Signals({0: 1.0, 1: 0.0}, {0: 0.0}, {"node": 0.9}, {"node": 0.0})
    for number in range(1, 12):
        assert policy.decide(seen, LOOK_MS * MS, number * LOOK_MS * MS) == []
    assert policy.decide(seen, LOOK_MS * MS, 3_250 * MS) != []


def test_without_counts_of_requests_nobody_is_a_hog() -> None:
    policy = PlacementPolicy(balanced(2))
    policy.arrive("a", Wish.HOST, 0)
    seen = Signals({0: 1.0, 1: 0.9}, {0: 0.0}, {"a": 0.9})
    assert all(policy.decide(seen, LOOK_MS * MS, at * 1000 * MS) == [] for at in range(5, 20))


def test_a_lone_light_function_stays_and_many_light_ones_are_dealt_out() -> None:
    scene = Scene(balanced(2))
    scene.arrive("nginx")
    scene.look({0: 1.0, 1: 0.0}, {"nginx": 0.2}, {0: 0.8}, looks=40, rate=60_000)
    assert scene.seat("nginx") == (Seat.PAIRED, (0,))
    crowd = Scene(balanced(2))
    shares = {f"f{number}": 0.1 for number in range(8)}
    for name in shares:
        crowd.arrive(name)
    crowd.look({0: 1.0, 1: 0.0}, shares, {0: 0.2}, looks=4, rate=1000)
    away = sum(crowd.seat(name)[0] is Seat.SPREAD for name in shares)
    assert 3 <= away <= 7


def test_more_burners_than_other_cores_share_all_cores() -> None:
    scene = Scene(balanced(2))
    for name in ("a", "b"):
        scene.arrive(name)
    scene.look({0: 1.0, 1: 0.1}, {"a": 0.5, "b": 0.5}, {0: 0.01}, looks=2)
    scene.look({0: 1.0, 1: 1.0}, {"a": 1.0, "b": 0.9}, {0: 0.01}, looks=4)
    assert {scene.seat("a"), scene.seat("b")} == {
        (Seat.SPREAD, (1,)),
        (Seat.FREE, (0, 1)),
    }


def test_who_calms_down_comes_home_and_each_time_later() -> None:
    scene = Scene(balanced(2))
    scene.arrive("a")
    waits_ms = []
    for _ in range(4):
        scene.look({0: 1.0, 1: 0.0}, {"a": 0.9}, {0: 0.01}, looks=3)
        assert scene.seat("a")[0] is Seat.SPREAD
        left_ns = scene.now_ns
        while scene.seat("a")[0] is Seat.SPREAD:
            scene.look({0: 0.1, 1: 0.1}, {"a": 0.02}, {0: 0.01})
        waits_ms.append((scene.now_ns - left_ns) // MS)
    assert waits_ms == sorted(set(waits_ms))
    assert waits_ms[-1] >= 4 * waits_ms[0]
    assert scene.policy.calm


def test_on_many_cores_who_computes_keeps_off_the_workers() -> None:
    scene = Scene(balanced(8))
    scene.arrive("ml")
    busy = dict.fromkeys(range(8), 0.9)
    scene.look(busy, {"ml": 3.0}, {0: 0.01}, looks=12)
    assert scene.seat("ml") == (Seat.SPREAD, (4, 5, 6, 7))
    scene.look(dict.fromkeys(range(8), 1.0), {"ml": 4.0}, {0: 0.01}, looks=2)
    assert scene.seat("ml") == (Seat.FREE, tuple(range(8))), "four cores do not suffice"


def test_workers_on_every_core_hand_over_among_each_other() -> None:
    scene = Scene(balanced(2, workers=2))
    scene.arrive("a", Wish.ONE)
    scene.look({0: 1.0, 1: 0.05}, {"a": 0.6}, {0: 0.4, 1: 0.01}, looks=3)
    assert scene.seat("a") == (Seat.PAIRED, (1,))


@dataclass
class World:
    """A host with fair cores: what it shows is what the policy's own assignments make of the demands."""

    layout: Layout
    demands: dict[str, float]
    door: float
    rate: float = 0.0
    policy: PlacementPolicy = field(init=False)
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.policy = PlacementPolicy(self.layout)
        for name in self.demands:
            self.policy.arrive(name, Wish.HOST, 0)

    def step(self) -> list[tuple[str, Assignment]]:
        """One look: water-filling of every core among those that may use it, the door first."""
        room = dict.fromkeys(self.layout.usable, 1.0)
        for core in set(self.layout.doors):
            room[core] -= self.door
        shares = dict.fromkeys(self.demands, 0.0)
        places = {name: one.cores for name, one in self.policy.assignments.items()}
        for _ in range(8):
            for name, demand in self.demands.items():
                cores = places[name] or self.layout.usable
                wish = min(demand - shares[name], max(room[core] for core in cores))
                part = wish / 2
                core = max(cores, key=lambda one: room[one])
                room[core] -= part
                shares[name] += part
        self.now_ns += LOOK_MS * MS
        busy = {core: min(1.0, max(0.0, 1.0 - left)) for core, left in room.items()}
        door = dict.fromkeys(self.layout.doors, self.door)
        wanted = shares if self.policy.wants_shares else {}
        seen = Signals(busy, door, wanted, dict.fromkeys(wanted, self.rate))
        return self.policy.decide(seen, LOOK_MS * MS, self.now_ns)


LAYOUTS = st.builds(
    plan,
    st.sampled_from([Mode.LATENCY, Mode.BALANCED, Mode.ECO]),
    st.integers(1, 6).map(range),
    st.integers(0, 3),
)
DEMANDS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.0, 1.0), max_size=8)


@pytest.mark.timeout(120)
@settings(max_examples=40, deadline=None)
@given(LAYOUTS, DEMANDS, st.floats(0.0, 0.6), st.sampled_from([0.0, 200.0, 20_000.0]))
def test_steady_demands_end_in_rest(
    layout: Layout, demands: dict[str, float], door: float, rate: float
) -> None:
    world = World(layout, demands, door, rate)
    moved = 0
    for _ in range(4 * 120):
        for name, assignment in world.step():
            moved += 1
            assert set(assignment.cores) <= set(layout.usable)
            assert assignment.cores
            if assignment.seat is Seat.SPREAD:
                assert not set(assignment.cores) & set(layout.doors)
            assert name in demands
    # Two minutes: patience doubles from two seconds to sixty, so nobody goes to and fro more than seven times.
    assert moved <= 14 * len(demands)
    assert all(one.moves <= 14 for one in world.policy.assignments.values())


@pytest.mark.timeout(120)
@settings(max_examples=40, deadline=None)
@given(LAYOUTS, DEMANDS, st.floats(0.0, 0.6), st.sampled_from([0.0, 200.0, 20_000.0]))
def test_when_all_is_quiet_everybody_comes_home(
    layout: Layout, demands: dict[str, float], door: float, rate: float
) -> None:
    world = World(layout, demands, door, rate)
    for _ in range(4 * 30):
        world.step()
    world.demands, world.door = dict.fromkeys(demands, 0.0), 0.0
    for _ in range(4 * 70):
        world.step()
    assert world.policy.calm
    if layout.few or layout.mode is Mode.ECO:
        for assignment in world.policy.assignments.values():
            assert assignment.seat is (Seat.PAIRED if len(layout.usable) > 1 else Seat.FREE)


@pytest.mark.parametrize("span_ms", [250, 5000])
def test_a_long_look_at_a_busy_core_counts_as_long(span_ms: int) -> None:
    policy = PlacementPolicy(balanced(2))
    policy.arrive("a", Wish.HOST, 0)
    now_ns = (span_ms + 4000) * MS
    policy.decide(Signals({0: 1.0, 1: 0.0}), span_ms * MS, now_ns)
    now_ns += LOOK_MS * MS
    seen = Signals({0: 1.0, 1: 0.0}, {0: 0.0}, {"a": 0.9}, {"a": 0.0})
    moved = policy.decide(seen, LOOK_MS * MS, now_ns)
    assert [name for name, _ in moved] == ["a"]
