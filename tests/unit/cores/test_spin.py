from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from junctiond.cores.layout import Mode
from junctiond.cores.spin import SPIN_US_MAX, SPIN_US_MIN, Caller, SpinPolicy

SECOND_NS = 1_000_000_000
BUSY = Caller(requests=25_000, share=0.2, apart=True, rings=1)
"""32 µs between an answer and the next request."""


def test_a_spin_is_granted_after_some_looks_and_ended_at_the_first_against_it() -> None:
    policy = SpinPolicy(Mode.BALANCED, 2)
    changes = [policy.decide({"a": BUSY}, 1, SECOND_NS) for _ in range(4)]
    assert changes == [{}, {}, {"a": 48}, {}]
    for against in (
        replace(BUSY, requests=1000),
        replace(BUSY, apart=False),
        replace(BUSY, rings=0),
        replace(BUSY, requests=0),
    ):
        granted = SpinPolicy(Mode.LATENCY, 2)
        assert granted.decide({"a": BUSY}, 1, SECOND_NS) == {"a": 48}
        assert granted.decide({"a": against}, 1, SECOND_NS) == {"a": 0}
        assert granted.granted == {}


def test_eco_and_off_never_grant() -> None:
    for mode in (Mode.ECO, Mode.OFF):
        policy = SpinPolicy(mode, 8)
        assert all(policy.decide({"a": BUSY}, 8, SECOND_NS) == {} for _ in range(9))


def test_without_an_idle_core_nobody_begins_to_poll() -> None:
    policy = SpinPolicy(Mode.LATENCY, 8)
    assert policy.decide({"a": BUSY}, 0, SECOND_NS) == {}
    assert policy.decide({"a": BUSY}, 1, SECOND_NS) == {"a": 48}
    assert policy.decide({"a": BUSY}, 0, SECOND_NS) == {}, "the core is busy with the poll itself"


def test_the_busiest_callers_come_first() -> None:
    policy = SpinPolicy(Mode.LATENCY, 2)
    callers = {"a": BUSY, "b": replace(BUSY, requests=40_000)}
    assert set(policy.decide(callers, 2, SECOND_NS)) == {"b"}


CALLERS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(
        Caller,
        requests=st.integers(0, 100_000),
        share=st.floats(0, 2),
        apart=st.booleans(),
        rings=st.integers(0, 3),
    ),
)


@given(st.sampled_from(Mode), st.integers(1, 5), st.lists(st.tuples(CALLERS, st.integers(0, 5))))
def test_there_are_always_fewer_spinners_than_cores(
    mode: Mode, cores: int, looks: list[tuple[dict[str, Caller], int]]
) -> None:
    policy = SpinPolicy(mode, cores)
    told: dict[str, int] = {}
    for callers, idle in looks:
        told |= policy.decide(callers, idle, SECOND_NS)
        granted = {key: value for key, value in told.items() if value}
        assert granted == dict(policy.granted)
        assert len(granted) <= cores - 1
        assert all(SPIN_US_MIN <= value <= SPIN_US_MAX for value in granted.values())
        assert all(callers[key].apart and callers[key].rings for key in granted)
