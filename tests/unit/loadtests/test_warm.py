"""Goal: what one round measured lands beside its baselines, under the attachment that carried it."""

from loadtests.baselines import Target
from loadtests.placement import Placement
from loadtests.series import OURS
from loadtests.stand import Cell
from loadtests.warm import Warm, distinct

BARE = Cell("epoll", "bare", Target("bare", "http://b/", dict))
NGINX = Cell("epoll", "nginx", Target("nginx", "http://n/", dict))
RING = Cell("epoll", "ring", Target(OURS, "http://r/", dict), ours=True, function="epoll")
FD = Cell("epoll", "fd", Target(OURS, "http://f/", dict), ours=True, function="epoll-fd")
CELLS = [RING, FD, BARE, NGINX]


def measured(carried: list[str]) -> Warm:
    warm = Warm(Placement.SPLIT)
    for round_us in (40.0, 50.0):
        for cell, more_us in ((RING, 8), (FD, 20), (BARE, 0), (NGINX, 30)):
            warm.add("warm", cell, "latency_us_p50", round_us + more_us)
    warm.add("open", RING, "open75_latency_ms_p99", 1.5)
    warm.carried = {("epoll", "ring"): carried, ("epoll", "fd"): ["fd", "fd"]}
    return warm


def test_a_series_per_attachment_beside_the_same_baselines():
    ring, opened, fd = measured(["ring", "ring"]).series(CELLS)
    assert (ring.subject.attachment, fd.subject.attachment) == ("ring", "fd")
    assert (ring.benchmark, opened.benchmark, fd.benchmark) == ("warm", "open", "warm")
    assert (ring.subject.function, ring.subject.placement) == ("epoll", "split")
    assert ring.of(OURS, "latency_us_p50") == [48, 58]
    assert fd.of(OURS, "latency_us_p50") == [60, 70]
    for series in (ring, fd):
        assert series.of("bare", "latency_us_p50") == [40, 50]
        assert series.of("nginx", "latency_us_p50") == [70, 80]
    assert opened.of(OURS, "open75_latency_ms_p99") == [1.5]


def test_rings_in_some_rounds_only_are_mixed():
    ring, _, _ = measured(["ring", "fd"]).series(CELLS)
    assert ring.subject.attachment == "mixed"


def test_rings_that_are_not_used_are_not_measured_twice():
    said: list[str] = []
    seen = {id(RING): "fd", id(FD): "fd", id(BARE): "", id(NGINX): ""}
    assert distinct(CELLS, seen, said.append) == [RING, BARE, NGINX]
    assert "epoll" in said[0]
    assert distinct(CELLS, {**seen, id(RING): "ring"}, said.append) == CELLS
    assert len(said) == 1


def test_last_value_of_a_round():
    warm = measured([])
    assert warm.last(FD, "latency_us_p50") == 70
    assert warm.last(FD, "rps_c8") == 0
