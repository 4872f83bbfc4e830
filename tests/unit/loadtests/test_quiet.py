from collections.abc import Iterator

from loadtests.machine import CpuTimes
from loadtests.quiet import SAMPLE_S, Quiet


def clock(idle_shares: list[float]) -> Iterator[CpuTimes]:
    now = CpuTimes(0, 0, 0)
    for share in idle_shares:
        yield now
        now = CpuTimes(now.busy + round(100 * (1 - share)), now.idle + round(100 * share), 0)
        yield now


def quiet(patience_s: float, idle_shares: list[float]) -> tuple[Quiet, list[float]]:
    slept: list[float] = []
    times = clock(idle_shares)
    return Quiet(patience_s, lambda: next(times), slept.append), slept


def test_a_quiet_machine_is_measured_at_once() -> None:
    waiter, slept = quiet(10, [0.99])
    waiter.wait()
    assert (slept, waiter.patience_s, waiter.busy) == ([SAMPLE_S], 10, 0)


def test_it_waits_for_quiet() -> None:
    waiter, slept = quiet(10, [0.1, 0.5, 0.9])
    waiter.wait()
    assert (len(slept), waiter.patience_s, waiter.busy) == (3, 10 - 2 * SAMPLE_S, 0)


def test_patience_is_for_the_whole_run() -> None:
    waiter, slept = quiet(2 * SAMPLE_S, [0.1] * 10)
    waiter.wait()
    waiter.wait()
    assert (len(slept), waiter.busy) == (4, 2)
