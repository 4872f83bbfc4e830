"""Fit the context-aware iteration cost to Splitwise's measured rows.

    python -m tools.profiles.context_fits inference/models/data

Reads splitwise_rows.csv.gz there (see splitwise_tables) and writes one context_*.toml for each (model, gpu, tp), and one
for each capped H100, which is the H100 with its prefill 1.30 times as long.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from inference.domain.replica import Model
from inference.models.catalog import MODELS
from inference.models.profile import Profile, read_profile
from tools.profiles.context_file import Coefficients, write_profile
from tools.profiles.monotone import monotone

Float64 = npt.NDArray[np.float64]
NUMBERS = ("tp", "prompt_tokens", "batch", "output_tokens", "prompt_ms", "token_ms")
CAPPED_PREFILL = 1.30
NOTE = (
    "decode: non-negative least squares of relative errors over (1, batch, batch * (prompt + output / 2)); "
    "prefill: medians by prompt tokens, made monotone; cached context: attention at the rate of the matrix products"
)


@dataclass(frozen=True)
class Rows:
    """Measured rows of one (model, gpu, tp)."""

    tokens: Float64
    batch: Float64
    context: Float64
    prompt_ns: Float64
    token_ns: Float64


def measured(rows: Profile, model: str, gpu: str, tp: int) -> Rows:
    """The rows of one replica, without those that did not run as they say."""
    numbers = rows.numbers
    labels = zip(rows.labels["model"], rows.labels["gpu"], strict=True)
    mine = np.array([label == (model, gpu) for label in labels]) & (numbers["tp"] == tp)
    if tp == 2:
        # 64 prompts of 512 tokens took as long as 4 there, and decoded like 16: their KV caches did not fit together.
        mine &= numbers["batch"] < 64
    batch, prompt = numbers["batch"][mine], numbers["prompt_tokens"][mine]
    return Rows(
        tokens=batch * prompt,
        batch=batch,
        context=batch * (prompt + numbers["output_tokens"][mine] / 2),
        prompt_ns=numbers["prompt_ms"][mine] * 1e6,
        token_ns=numbers["token_ms"][mine] * 1e6,
    )


def fit(rows: Rows, model: Model) -> Coefficients:
    """Coefficients of one replica, and how well they fit."""
    terms = np.stack([np.ones_like(rows.batch), rows.batch, rows.context], axis=1)
    weights, _ = nnls(terms / rows.token_ns[:, None], np.ones_like(rows.token_ns))
    decode_error = np.abs(terms @ weights / rows.token_ns - 1)
    base_ns, per_request_ns, context_ns = (float(weight) for weight in weights)
    knots = np.unique(rows.tokens)
    medians = monotone([float(np.median(rows.prompt_ns[rows.tokens == knot])) for knot in knots])
    predicted = np.interp(rows.tokens, knots, medians)
    # Where measuring began, the line to fewer tokens goes on, but never below one decode iteration.
    edge = medians[0] - (medians[1] - medians[0]) / (knots[1] - knots[0]) * (knots[0] - 1)
    first = min(max(edge, base_ns + per_request_ns), medians[0])
    # Matrix products from 512 to 2048 tokens: time for each token gives the rate at which this replica computes.
    at = dict(zip(knots.tolist(), medians, strict=True))
    token_ns = (at[2048.0] - at[512.0]) / (2048 - 512)
    parameters = model.weights_bytes / 2
    pair_flops = 4 * model.layers * model.hidden
    return Coefficients(
        decode=(base_ns, per_request_ns, context_ns, 0.0),
        tokens=[1, *(int(knot) for knot in knots)],
        prefill_ns=[first, *medians],
        cached_ns=context_ns,
        pair_ns=pair_flops * token_ns / (2 * parameters),
        tokens_min=int(knots[0]),
        tokens_max=int(knots[-1]),
        batch_max=int(rows.batch.max()),
        context_max=int(rows.context.max()),
        prefill_mape_percent=float(100 * np.mean(np.abs(predicted / rows.prompt_ns - 1))),
        decode_mape_percent=float(100 * np.mean(decode_error)),
    )


def main() -> None:
    """Fit all and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="inference/models/data")
    folder: Path = parser.parse_args().folder
    rows = read_profile(folder / "splitwise_rows.csv.gz", NUMBERS, ("model", "gpu"))
    names = zip(rows.labels["model"], rows.labels["gpu"], rows.numbers["tp"].tolist(), strict=True)
    for model, gpu, tp in dict.fromkeys(names):
        coefficients = fit(measured(rows, model, gpu, int(tp)), MODELS[model])
        header = {
            "origin": "modelled",
            "by": "junctiond, fitted to measurements by the Splitwise authors (ISCA'24)",
            "on": f"{gpu}, one machine of 8",
            "when": "2026, of measurements of 2023",
            "source": rows.provenance.source.removesuffix(" (MIT)"),
            "licence": "MIT",
            "note": NOTE,
        }
        write_profile(folder / f"context_{model}_{gpu}_tp{int(tp)}.toml", header, coefficients)
        if gpu == "h100-80gb":
            header["note"] += f"; capped: prefill times {CAPPED_PREFILL} as in splitwise-sim"
            capped = coefficients.slower_prefill(CAPPED_PREFILL)
            write_profile(folder / f"context_{model}_{gpu}-pcap_tp{int(tp)}.toml", header, capped)
        print(
            f"{model} {gpu} tp{int(tp)}: MAPE prefill {coefficients.prefill_mape_percent:.2f} %, "
            f"decode {coefficients.decode_mape_percent:.2f} %"
        )


if __name__ == "__main__":
    main()
