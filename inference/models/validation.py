"""How well the tables predict measurements that they were not made from (Splitwise, section on its performance model; SW11)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.models.profile import DATA, Float64, Profile, read_profile

ROWS = DATA / "splitwise_rows.csv.gz"

_NUMBERS = ("tp", "prompt_tokens", "batch", "output_tokens", "prompt_ms", "token_ms")
_PHASES = ("prompt_ms", "token_ms")


@dataclass(frozen=True, slots=True)
class PredictionError:
    """Absolute percentage errors of one kind of replica and phase, over the rows held out.

    Attributes:
        replica: "model gpu tpN", or "all".
        phase: "prefill", "decode" or "both".
        rows: held out.
        mean_percent: MAPE.
        median_percent: of the same errors.
    """

    replica: str
    phase: str
    rows: int
    mean_percent: float
    median_percent: float


def table_errors(
    path: Path = ROWS, held_out: float = 0.2, seed: int = 0
) -> tuple[PredictionError, ...]:
    """Make medians of a random part of the rows, predict the others, and compare.

    Args:
        path: raw rows as `tools.profiles.splitwise_tables` writes them.
        held_out: share of rows to predict; the paper's 80:20 split is 0.2.
        seed: of the split.

    Returns:
        The error over all rows and both phases first, then by replica and phase.

    Raises:
        ProfileError: the file is no such profile.
    """
    rows = read_profile(path, _NUMBERS, ("model", "gpu"))
    count = len(rows.numbers["tp"])
    test = np.zeros(count, dtype=np.bool_)
    chosen = np.random.default_rng(seed).permutation(count)[: round(held_out * count)]
    test[chosen] = True
    tokens = rows.numbers["prompt_tokens"] * rows.numbers["batch"]
    errors: list[PredictionError] = []
    every: list[Float64] = []
    replicas = _replicas(rows)
    for replica in dict.fromkeys(replicas.tolist()):
        mine = replicas == replica
        for phase, column in zip(("prefill", "decode"), _PHASES, strict=True):
            ms = rows.numbers[column]
            known = _medians(tokens[mine & ~test], ms[mine & ~test])
            predicted = _interpolated(tokens[mine & test], *known)
            wrong = 100.0 * np.abs(predicted - ms[mine & test]) / ms[mine & test]
            every.append(wrong)
            errors.append(_summary(replica, phase, wrong))
    return (_summary("all", "both", np.concatenate(every)), *errors)


def _replicas(rows: Profile) -> npt.NDArray[np.str_]:
    names = zip(rows.labels["model"], rows.labels["gpu"], rows.numbers["tp"], strict=True)
    return np.array([f"{model} {gpu} tp{int(tp)}" for model, gpu, tp in names])


def _medians(tokens: Float64, ms: Float64) -> tuple[Float64, Float64]:
    knots = np.unique(tokens)
    return knots, np.array([np.median(ms[tokens == knot]) for knot in knots])


def _interpolated(tokens: Float64, knots: Float64, ms: Float64) -> Float64:
    """As the table does it: linear, the edge segments prolonged."""
    left = np.clip(np.searchsorted(knots, tokens, side="right") - 1, 0, len(knots) - 2)
    share = (tokens - knots[left]) / (knots[left + 1] - knots[left])
    result: Float64 = ms[left] + share * (ms[left + 1] - ms[left])
    return result


def _summary(replica: str, phase: str, percent: Float64) -> PredictionError:
    mean, median = float(np.mean(percent)), float(np.median(percent))
    return PredictionError(replica, phase, len(percent), mean, median)
