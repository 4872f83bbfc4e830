"""Goal: what one round measured lands beside its baselines, under the attachment that carried it, and a step that fails
loses itself only.
"""

from pathlib import Path

import pytest

from loadtests import attachment, generators, warm
from loadtests.attachment import Rings
from loadtests.baselines import Target
from loadtests.effort import QUICK, Effort
from loadtests.failure import Attempts
from loadtests.generators import GeneratorFailed, Measured
from loadtests.mark import FAILED
from loadtests.placement import Placement
from loadtests.quiet import Quiet
from loadtests.series import OURS
from loadtests.stand import Cell
from loadtests.warm_figures import WarmFigures, distinct

BARE = Cell("epoll", "bare", Target("bare", "http://b/", dict))
NGINX = Cell("epoll", "nginx", Target("nginx", "http://n/", dict))
RING = Cell("epoll", "ring", Target(OURS, "http://r/", dict), ours=True, function="epoll")
FD = Cell("epoll", "fd", Target(OURS, "http://f/", dict), ours=True, function="epoll-fd")
CELLS = [RING, FD, BARE, NGINX]


def measured(carried: list[str]) -> WarmFigures:
    warm = WarmFigures(Placement.SPLIT, cells=CELLS)
    for warm.number, round_us in enumerate((40.0, 50.0), start=1):
        for cell, more_us in ((RING, 8), (FD, 20), (BARE, 0), (NGINX, 30)):
            warm.add("warm", cell, "latency_us_p50", round_us + more_us)
    warm.add("open", RING, "open75_latency_ms_p99", 1.5)
    warm.carried = {("epoll", "ring"): carried, ("epoll", "fd"): ["fd", "fd"]}
    return warm


def test_a_series_per_attachment_beside_the_same_baselines():
    ring, opened, fd = measured(["ring", "ring"]).series()
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
    ring, _, _ = measured(["ring", "fd"]).series()
    assert ring.subject.attachment == "mixed"


def test_rings_that_are_not_used_are_not_measured_twice():
    seen = {id(RING): "fd", id(FD): "fd", id(BARE): "", id(NGINX): ""}
    assert distinct(CELLS, seen) == ([RING, BARE, NGINX], ["epoll"])
    assert distinct(CELLS, {**seen, id(RING): "ring"}) == (CELLS, [])


def test_value_of_the_present_round():
    warm = measured([])
    assert warm.present(FD, "latency_us_p50") == 70
    assert warm.present(FD, "rps_c8") == 0
    warm.number = 3
    assert warm.present(FD, "latency_us_p50") == 0


class Loads:
    """Load generators that answer at once, but for those steps that are made to fail."""

    def __init__(self, broken: dict[str, set[int]]) -> None:
        self.broken = broken  # failing visits by URL and step: "URL step" -> numbers of its calls
        self.calls: dict[str, int] = {}

    def measured(self, url: str, step: str) -> Measured:
        key = f"{url} {step}"
        self.calls[key] = self.calls.get(key, 0) + 1
        if self.calls[key] in self.broken.get(key, set()):
            raise GeneratorFailed(f"{key} broke")
        return Measured(100, 0, 100.0, [1000, 2000, 3000])

    def sequential(self, url: str, *_: object, fresh: bool = False) -> Measured:
        return self.measured(url, "fresh" if fresh else "sequential")

    def closed_loop(self, url: str, connections: int, *_: object, use_wrk: bool) -> Measured:
        return self.measured(url, f"c{connections}" if use_wrk else "warm-up")

    def open_loop(self, url: str, *_: object) -> Measured:
        return self.measured(url, "open")


def run(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, set[int]], rounds: int
) -> tuple[WarmFigures, Attempts, int]:
    loads = Loads(broken)
    for name in ("sequential", "closed_loop", "open_loop"):
        monkeypatch.setattr(generators, name, getattr(loads, name))
    monkeypatch.setattr(attachment, "read", lambda *_: Rings())
    cells = [
        Cell("epoll", "fd", RING.target, ours=True, function="epoll", full=True),
        Cell("epoll", "bare", BARE.target, full=True),
    ]
    conditions = warm.Conditions(
        sections=("warm", "fresh", "open"),
        effort=Effort(rounds=rounds, requests=QUICK.requests),
        placement=Placement.FREE,
        use_wrk=True,
        control_socket=Path("/none"),
    )
    kept = []
    result, attempts = WarmFigures(Placement.FREE), Attempts(lambda _: None)
    warm.measure(
        cells,
        conditions,
        1,
        result=result,
        quiet=Quiet(0, sleep=lambda _: None),
        attempts=attempts,
        after_round=lambda: kept.append(len(result.values)),
    )
    return result, attempts, len(kept)


def numbers(result: WarmFigures, figure: str, label: str = "fd") -> list[int]:
    benchmark = "fresh" if figure.startswith("fresh") else "warm"
    return sorted(result.values[benchmark, "epoll", label].get(figure, {}))


def test_a_step_that_fails_loses_its_round_and_no_other(monkeypatch: pytest.MonkeyPatch):
    result, attempts, kept = run(monkeypatch, {"http://r/ c8": {2}}, rounds=3)
    assert kept == 3
    assert numbers(result, "rps_c8") == [1, 3]
    assert numbers(result, "latency_us_p50") == [1, 2, 3]
    assert numbers(result, "rps_c64") == [1, 3]  # the visit ended there
    assert numbers(result, "rps_c8", "bare") == [1, 2, 3]
    (mark,) = attempts.failures
    assert (mark.kind, mark.subject, mark.target, mark.round) == (FAILED, "epoll", "fd", 2)
    assert (mark.step, mark.words) == ("closed loop with 8", "http://r/ c8 broke")
    (series,) = [one for one in result.series() if one.benchmark == "warm"]
    assert series.of(OURS, "rps_c8") == [100, 100]


def test_a_step_that_always_fails_is_given_up_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch,
):
    result, attempts, _ = run(monkeypatch, {"http://r/ c64": set(range(9))}, rounds=4)
    assert [mark.round for mark in attempts.failures] == [1, 2]
    assert numbers(result, "fresh_latency_us_p50") == [3, 4]
    assert numbers(result, "rps_c64") == []


def test_a_cell_that_does_not_answer_is_left_out(monkeypatch: pytest.MonkeyPatch):
    result, attempts, _ = run(monkeypatch, {"http://r/ warm-up": set(range(9))}, rounds=2)
    assert [cell.label for cell in result.cells] == ["bare"]
    assert [mark.step for mark in attempts.failures] == ["warm-up"]
    assert numbers(result, "rps_c8", "bare") == [1, 2]
