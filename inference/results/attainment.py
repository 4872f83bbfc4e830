"""Objectives by request class (DynamoLLM, table of classes): who met them, and whether P99 held."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.slo import RequestClass
from inference.results.distribution import Distribution, distribution_of
from inference.results.run import Int64, RequestColumns
from inference.results.timings import completed, over_all

NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class ClassAttainment:
    """One request class: its latencies and its objectives.

    Attributes:
        name: of the class.
        requests: of the class, by their true lengths.
        share: of all requests of the run.
        misrouted_share: of the class's requests that were routed as another class; NaN where none
            was classified.
        ttft_slo_ms, tbt_slo_ms: objectives.
        ttft_ms, tpot_ms: of all its requests; those that did not complete count as infinite.
        slo_attainment: share of its requests that completed with both objectives met; NaN without
            requests.
        held: whether the 99th percentiles of both are within them; true without requests.
    """

    name: str
    requests: int
    share: float
    misrouted_share: float
    ttft_slo_ms: float
    tbt_slo_ms: float
    ttft_ms: Distribution
    tpot_ms: Distribution
    slo_attainment: float
    held: bool


@dataclass(frozen=True, slots=True)
class Attainment:
    """Objectives of a whole run.

    Attributes:
        classes: one for each class, in the order given.
        slo_met: requests that completed with both objectives of their class met.
        slo_attainment: `slo_met` / all requests, refused and unfinished ones included; NaN
            without requests.
    """

    classes: tuple[ClassAttainment, ...]
    slo_met: int
    slo_attainment: float

    @property
    def held(self) -> bool:
        """Whether P99 holds in every class that had requests."""
        return all(one.held for one in self.classes)


def classify(requests: RequestColumns, classes: Sequence[RequestClass]) -> Int64:
    """Each request's class by its true lengths: the first that it fits in, else the last.

    A request longer than every class is held to the last one's objectives, the largest in every
    table of classes, instead of to none.
    """
    found = np.full(len(requests.status), len(classes) - 1, dtype=np.int64)
    for index in reversed(range(len(classes))):
        one = classes[index]
        fits = (requests.prompt_tokens <= one.prompt_tokens_max) & (
            requests.output_tokens <= one.output_tokens_max
        )
        found[fits] = index
    return found


def attainment(requests: RequestColumns, classes: Sequence[RequestClass]) -> Attainment:
    """Who met the objectives of its class.

    The time between tokens that is judged is TPOT, each request's mean gap; one token has no gap.

    Raises:
        ValueError: there are no classes.
    """
    if not classes:
        raise ValueError("attainment needs at least one request class")
    timings = completed(requests)
    ttft_ms = over_all(timings, timings.ttft_ns / NS_PER_MS)
    tpot_ms = over_all(timings, timings.gap_ns / NS_PER_MS)
    class_of = classify(requests, classes)
    total, met, judged = len(requests.status), 0, []
    for index, one in enumerate(classes):
        mine = class_of == index
        count = int(mine.sum())
        ttft, tpot = ttft_ms[mine], tpot_ms[mine]
        met_here = int(((ttft <= one.ttft_ms) & (tpot <= one.tbt_ms)).sum())
        met += met_here
        ttft_all, tpot_all = distribution_of(ttft), distribution_of(tpot)
        judged.append(
            ClassAttainment(
                name=one.name,
                requests=count,
                share=_share(count, total),
                misrouted_share=_misrouted(requests.class_id[mine], index),
                ttft_slo_ms=one.ttft_ms,
                tbt_slo_ms=one.tbt_ms,
                ttft_ms=ttft_all,
                tpot_ms=tpot_all,
                slo_attainment=_share(met_here, count),
                held=count == 0 or (ttft_all.p99 <= one.ttft_ms and tpot_all.p99 <= one.tbt_ms),
            )
        )
    return Attainment(tuple(judged), met, _share(met, total))


def _misrouted(routed: npt.NDArray[np.int64], index: int) -> float:
    classified = routed[routed >= 0]
    return _share(int((classified != index).sum()), int(classified.size))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
