"""Shared links: bytes are kept, no port is overdriven, and rates are max-min fair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models.interconnect import Interconnect

GB = 10**9


def fabric(replicas: int = 4, bytes_per_s: float = GB) -> Interconnect[int]:
    links = Interconnect[int]()
    for replica in range(replicas):
        links.add_replica(replica, bytes_per_s)
    return links


def test_alone_a_flow_has_the_line():
    links = fabric()
    links.start(1, 0, 1, 1000, 50)
    assert links.next_ns() == 1050
    assert links.finished(1049) == ()
    assert links.finished(1050) == (1,)
    assert links.next_ns() is None
    assert len(links) == 0


def test_the_slower_end_is_the_limit():
    links = fabric()
    links.add_replica(1, GB / 4)
    links.start(1, 0, 1, 1000, 0)
    assert links.next_ns() == 4000


def test_two_that_meet_share_and_the_one_left_speeds_up():
    links = fabric()
    links.start(1, 0, 2, 1000, 0)
    links.start(2, 1, 2, 3000, 0)
    assert links.rate_bytes_per_s(1) == links.rate_bytes_per_s(2) == GB / 2
    assert links.next_ns() == 2000
    assert links.finished(2000) == (1,)
    assert links.next_ns() == 4000  # 1000 bytes went at half the rate, 2000 at the whole
    assert links.finished(4000) == (2,)


def test_sending_and_receiving_do_not_meet():
    links = fabric()
    links.start(1, 0, 1, 1000, 0)
    links.start(2, 1, 0, 1000, 0)
    assert links.finished(1000) == (1, 2)


def test_what_one_cannot_use_another_gets():
    """0 sends to 2 and 3; 3 also hears from 1 at a crowded port: max-min gives 0 -> 2 what is left of 0's port."""
    links = fabric(6)
    links.start(1, 0, 2, GB, 0)
    for key, source in ((2, 0), (3, 1), (4, 4), (5, 5)):
        links.start(key, source, 3, GB, 0)
    assert links.rate_bytes_per_s(2) == GB / 4
    assert links.rate_bytes_per_s(1) == GB * 3 / 4


def test_a_slow_link_slows_what_is_on_its_way_until_mended():
    links = fabric()
    links.start(1, 0, 1, 1000, 0)
    links.set_factor(1, 10.0, 500)
    assert links.next_ns() == 500 + 5000
    links.set_factor(1, 1.0, 1500)  # 100 bytes came in between
    assert links.next_ns() == 1500 + 400
    with pytest.raises(ValueError, match="no such link"):
        links.set_factor(9, 2.0, 0)
    with pytest.raises(ValueError, match="not above 0"):
        links.set_factor(1, 0.0, 0)


def test_a_flow_given_up_leaves_its_share():
    links = fabric()
    links.start(1, 0, 1, 1000, 0)
    links.start(2, 0, 2, 1000, 0)
    assert links.stop(1, 1000) == 500
    assert links.stop(1, 1000) == 0
    assert links.rate_bytes_per_s(1) == 0
    assert links.next_ns() == 1500


def test_misuse_is_refused():
    links = fabric()
    links.start(1, 0, 1, 10, 0)
    with pytest.raises(ValueError, match="on its way"):
        links.start(1, 0, 2, 10, 0)
    with pytest.raises(ValueError, match="negative size"):
        links.start(2, 0, 2, -1, 0)
    with pytest.raises(ValueError, match="no link from replica 0 to 9"):
        links.start(2, 0, 9, 10, 0)
    with pytest.raises(ValueError, match="above 0"):
        links.add_replica(9, 0.0)
    with pytest.raises(ValueError, match="has flows"):
        links.add_replica(1, 1.0)


FLOWS = st.lists(
    st.tuples(
        st.integers(0, 5),  # source
        st.integers(0, 5),  # target
        st.integers(0, 10**7),  # bytes
        st.integers(0, 10**6),  # ns after the one before
    ),
    min_size=1,
    max_size=25,
)
SPEEDS = st.lists(st.sampled_from([0.2e9, 1e9, 3e9]), min_size=6, max_size=6)


@given(flows=FLOWS, speeds=SPEEDS)
def test_bytes_are_kept_and_no_port_is_overdriven(flows, speeds):
    links = fabric(0)
    for replica, speed in enumerate(speeds):
        links.add_replica(replica, speed)
    carried = dict.fromkeys(range(len(flows)), 0.0)
    began: dict[int, int] = {}
    now_ns = at_ns = 0

    def advance(to_ns: int) -> None:
        nonlocal now_ns
        rates = {key: links.rate_bytes_per_s(key) / 1e9 for key in began}
        for port in range(6):
            for end in (0, 1):
                used = sum(rate for key, rate in rates.items() if flows[key][end] == port)
                assert used <= speeds[port] / 1e9 * (1 + 1e-9)
        for key, rate in rates.items():
            carried[key] += rate * (to_ns - now_ns)
        now_ns = to_ns

    def finish() -> None:
        end_ns = links.next_ns()
        assert end_ns is not None
        advance(end_ns)
        for key in links.finished(end_ns):
            source, target, size, _ = flows[key]
            line = min(speeds[source], speeds[target]) / 1e9
            assert end_ns - began.pop(key) >= size / line - 1e-6
            assert (
                size - 1e-3 <= carried[key] <= size + line + 1e-3
            )  # its last ns may be partly idle

    for key, (source, target, size, later_ns) in enumerate(flows):
        at_ns += later_ns
        while (end_ns := links.next_ns()) is not None and end_ns <= at_ns:
            finish()
        advance(at_ns)
        began[key] = at_ns
        links.start(key, source, target, size, at_ns)
    while links.next_ns() is not None:
        finish()
    assert not began
    assert len(links) == 0


@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=25))
def test_rates_are_max_min_fair(pairs):
    """Each flow has a port that is full and where none is faster: the definition."""
    links = fabric(6)
    for key, (source, target) in enumerate(pairs):
        links.start(key, source, target, 10**12, 0)
    rates = [links.rate_bytes_per_s(key) for key in range(len(pairs))]
    for key, pair in enumerate(pairs):
        bottlenecks = 0
        for end in (0, 1):
            sharing = [
                rate for rate, other in zip(rates, pairs, strict=True) if other[end] == pair[end]
            ]
            full = sum(sharing) >= GB * (1 - 1e-9)
            bottlenecks += full and rates[key] >= max(sharing) * (1 - 1e-9)
        assert bottlenecks
