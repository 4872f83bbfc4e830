import os

import pytest

from loadtests.placement import Placement, client_cores, clients, server_cores, servers

CORES = {2, 3, 5}


@pytest.mark.parametrize(
    ("placement", "server", "client"),
    [
        (Placement.SPLIT, {2}, {5}),
        (Placement.ONE, {2}, {2}),
        (Placement.FREE, CORES, CORES),
        (Placement.OWN, CORES, CORES),
    ],
)
def test_cores(placement: Placement, server: set[int], client: set[int]) -> None:
    assert server_cores(placement, CORES) == server
    assert client_cores(placement, CORES) == client


def test_affinity_holds_inside_the_block_only() -> None:
    before = os.sched_getaffinity(0)
    with servers(Placement.ONE):
        assert os.sched_getaffinity(0) == {min(before)}
    with clients(Placement.SPLIT):
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before


def test_every_placement_has_a_letter_and_words() -> None:
    assert sorted(one.letter for one in Placement) == ["O", "P", "S", "U"]
    assert all(one.words for one in Placement)
