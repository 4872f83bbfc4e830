"""The least machines that hold the nine objectives at a given rate: SW1, SW4, SW5."""

import math
from collections.abc import Sequence

from inference.experiments.outcome import Runs, Target
from inference.experiments.splitwise.search import Setting, Spent, frontier, highest
from inference.experiments.splitwise.throughput import WHY
from inference.models.cost import SPLITWISE_MACHINES, MachineFigures
from inference.models.latency import Mode
from inference.models.provenance import Origin
from inference.sweep.designs import Price, Split

CODE_RATE_PER_S = 70.0
H100_MACHINES = 40


def _setting(design: str, service: str, mode: Mode) -> Setting:
    changed = (f"latency={mode}", "transfer.mode=compat")
    return Setting(f"splitwise-iso-power-{service}-{design}", changed)


def _cheapest(splits: Sequence[Split], price: Price) -> Split | None:
    return min(splits, key=price.of, default=None)


def least_machines(mode: Mode) -> list[Target]:
    """SW1: the cheapest Splitwise-HH for coding at 70 requests/s."""
    spent = Spent()
    setting = _setting("hh", "code", mode).with_(f"trace.rate_per_s={CODE_RATE_PER_S}")
    found = list(frontier(setting, range(1, 9), 60, spent))
    best = _cheapest(found, Price(1.0, 1.0))
    count = math.nan if best is None else float(best.prefill + best.decode)
    decode = math.nan if best is None else float(best.decode)
    note = f"found {best}; frontier {', '.join(map(str, found))}; {spent.runs} runs"
    target = Runs(setting.scenario, spent.cpu_s).target
    return [
        target(
            f"SW1-{mode}",
            "least DGX-H100 for coding at 70 requests/s under nine objectives (Splitwise-HH)",
            "30 (27P+3T)", count, "machines", 27.0, 33.0, note,
        ),
        target(
            f"SW1-decode-{mode}", "those of them that decode", "3 (27P+3T)",
            decode, "machines", 2.0, 4.0, "the sum alone would not tell one split from another",
        ),
    ]  # fmt: skip


def least_power(mode: Mode) -> list[Target]:
    """SW4: Splitwise-HHcap with Baseline-H100's throughput at the least power."""
    h100, capped = SPLITWISE_MACHINES["h100-80gb"], SPLITWISE_MACHINES["h100-80gb-pcap"]
    base = H100_MACHINES * h100.power
    price = Price(h100.power, capped.power)
    return [_against_baseline("SW4", "power", "hhcap", range(8, 25, 2), price, base, mode)]


def least_cost(mode: Mode) -> list[Target]:
    """SW5: Splitwise-AA with Baseline-H100's throughput at the least cost."""
    a100: MachineFigures = SPLITWISE_MACHINES["a100-80gb"]
    base = H100_MACHINES * SPLITWISE_MACHINES["h100-80gb"].cost
    price = Price(a100.cost, a100.cost)
    decodes = range(2, 31, 4) if mode == "table" else range(20, 71, 10)
    return [_against_baseline("SW5", "cost", "aa", decodes, price, base, mode)]


def _against_baseline(
    name: str,
    budget: str,
    design: str,
    decodes: Sequence[int],
    price: Price,
    baseline: float,
    mode: Mode,
) -> Target:
    spent = Spent()
    rate = highest(_setting("baseline-h100", "conv", mode), spent)
    setting = _setting(design, "conv", mode).with_(f"trace.rate_per_s={rate}")
    found = list(frontier(setting, decodes, 90, spent))
    best = _cheapest(found, price)
    change = math.nan if best is None else (price.of(best) / baseline - 1) * 100
    return Target(
        f"{name}-{mode}",
        f"{budget} of the cheapest Splitwise-{design.upper()} with Baseline-H100's throughput (conversation)",
        "-25 %",
        change,
        "%",
        -32.5,
        -17.5,
        setting.scenario,
        0,
        spent.cpu_s,
        Origin.MODELLED,
        f"{best} at {rate:g} requests/s; {spent.runs} runs; within a tenth of the remaining 75 %{WHY[mode]}",
    )
