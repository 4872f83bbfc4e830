"""Make context-aware profiles of Llama 3.1 on H100 from layers measured one by one.

    python -m tools.profiles.layer_fits path/to/llmservingsim path/to/net_h100_dgx_all_reduce.csv.gz inference/models/data

An iteration is the sum of its layers (LLMServingSim's measurements), of its attention (a vidur-style profile of the 70B
model at TP 4, also theirs) and of two all-reduces per layer (vidur's measurements; only the part that grows with size,
as the launch is hidden by CUDA graphs in today's engines). Nobody measured the whole, so the profiles are modelled.

The attention of other models and TPs is taken as that one, with more key-value heads per GPU or fewer: per token and layer
its kernel needs six times what reading 2 heads takes, so that heads are not what it waits for (Splitwise's rows say the
same: 1 ns per token and layer at TP 2 as at TP 4).
"""

import argparse
import csv
import gzip
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from inference.domain.replica import Model
from inference.models.catalog import MODELS
from tools.profiles.context_file import Coefficients, write_profile
from tools.profiles.monotone import monotone

Float64 = npt.NDArray[np.float64]
Layers = Mapping[str, Mapping[int, float]]

# Once per iteration, not once per layer of the model.
ONCE = ("embedding", "final_layernorm", "lm_head")
KNOTS = (1, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
# Shorter mean contexts than these are no decode that anybody serves, and their times are all launch.
MEAN_CONTEXT_MIN = 16
REPLICAS = (("llama3.1-70b", 2), ("llama3.1-70b", 4), ("llama3.1-8b", 1))
NOTE = (
    "sum of measured layers; attention measured for the 70B model at TP 4 and taken over for the others; "
    "all-reduces by size (vidur, MIT). Layers ran eagerly, one by one: at batch 8 the 70B "
    "model at TP 4 decodes in about 1.3 times the 16.6 ms that ML.ENERGY v3 publishes for a whole engine"
)


def read_layers(path: Path) -> Layers:
    """Nanoseconds by layer and number of tokens."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["layer_name"]][int(row["input"])] = float(row["latency(ns)"])
    return found


def read_attention(path: Path) -> tuple[Float64, Float64]:
    """Columns (batch, sum of contexts, ns) of decodes, and (new tokens, cached tokens, ns) of prefills."""
    decodes, prefills = [], []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            cached = int(row["kv_cache_size"])
            if row["is_prefill"] == "True":
                ns = float(row["time_stats.attn_prefill.median"]) * 1e6
                prefills.append((int(row["prefill_chunk_size"]), cached, ns))
            else:
                ns = float(row["time_stats.attn_decode.median"]) * 1e6
                decodes.append((int(row["batch_size"]), cached, ns))
    columns = np.array(decodes, dtype=np.float64).T
    return columns[:, columns[1] >= MEAN_CONTEXT_MIN * columns[0]], np.array(prefills).T


def read_all_reduce(path: Path) -> dict[int, float]:
    """Nanoseconds per byte, by number of GPUs: slope over the larger half of the measured sizes."""
    sizes: dict[int, list[tuple[float, float]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            ns = float(row["time_stats.all_reduce.median"]) * 1e6
            sizes[int(row["num_workers"])].append((float(row["size"]), ns))
    slopes = {1: 0.0}
    for workers, points in sizes.items():
        size, ns = np.array(sorted(points)).T
        half = len(size) // 2
        slopes[workers] = float(np.polyfit(size[half:], ns[half:], 1)[0])
    return slopes


def relative_fit(terms: Float64, ns: Float64) -> tuple[Float64, float]:
    """Non-negative coefficients of least relative errors, and the mean of those errors in percent."""
    weights, _ = nnls(terms / ns[:, None], np.ones_like(ns))
    return weights, float(100 * np.mean(np.abs(terms @ weights / ns - 1)))


def compose(
    model: Model,
    tp: int,
    layers: Layers,
    attention: tuple[Float64, Float64],
    byte_ns: float,
) -> Coefficients:
    """Coefficients of a whole iteration."""

    def others_ns(tokens: int, sequences: int) -> float:
        each = sum(ns[tokens] for name, ns in layers.items() if name not in (*ONCE, "attn"))
        reduced = 2 * tokens * model.hidden * model.dtype_bytes * byte_ns
        # Only the last token of a sequence asks for logits.
        once = layers["embedding"][tokens] + layers["final_layernorm"][tokens]
        return model.layers * (each + reduced) + once + layers["lm_head"][sequences]

    batch, context, attention_ns = attention[0]
    terms = np.stack([np.ones_like(batch), batch, context, context / batch], axis=1)
    rest = {size: others_ns(size, size) for size in range(1, int(batch.max()) + 1)}
    whole_ns = model.layers * attention_ns + np.array([rest[int(size)] for size in batch])
    decode, decode_error = relative_fit(terms, whole_ns)

    every = range(1, max(KNOTS) + 1)
    prefill = {n: others_ns(n, 1) + model.layers * layers["attn"][n] for n in every}
    knots = monotone([prefill[knot] for knot in KNOTS])
    predicted = np.interp(np.array(every), KNOTS, knots)
    actual = np.array([prefill[n] for n in every])

    new, cached, prefill_ns = attention[1]
    cached_terms = np.stack([np.ones_like(new), new, cached, new * cached], axis=1)
    over, _ = relative_fit(cached_terms, prefill_ns)
    return Coefficients(
        decode=(float(decode[0]), float(decode[1]), float(decode[2]), float(decode[3])),
        tokens=list(KNOTS),
        prefill_ns=knots,
        cached_ns=model.layers * float(over[2]),
        pair_ns=model.layers * float(over[3]),
        tokens_min=1,
        tokens_max=max(KNOTS),
        batch_max=int(batch.max()),
        context_max=int(context.max()),
        prefill_mape_percent=float(100 * np.mean(np.abs(predicted / actual - 1))),
        decode_mape_percent=decode_error,
    )


def main() -> None:
    """Compose all and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", type=Path, help="folder of LLMServingSim's H100 profiles")
    parser.add_argument("all_reduce", type=Path, help="vidur's net_h100_dgx_all_reduce.csv.gz")
    parser.add_argument("folder", type=Path, help="inference/models/data")
    arguments = parser.parse_args()
    folder: Path = arguments.measured
    attention = read_attention(folder / "H100_Llama-3.1-70B_tp4_attention.csv.gz")
    byte_ns = read_all_reduce(arguments.all_reduce)
    for name, tp in REPLICAS:
        size = name.removeprefix("llama3.1-").upper()
        layers = read_layers(folder / f"H100_Llama-3.1-{size}_tp{tp}_layers.csv.gz")
        fitted = compose(MODELS[name], tp, layers, attention, byte_ns[tp])
        header = {
            "origin": "modelled",
            "by": "junctiond, from layers measured by the authors of LLMServingSim and vidur",
            "on": f"h100-80gb, {tp} GPUs",
            "when": "2026, of measurements of 2024 and 2025",
            "source": "casys-kaist/LLMServingSim @ 5daddb2; microsoft/vidur @ 7d47513, data/profiling/network",
            "licence": "MIT",
            "note": NOTE,
        }
        write_profile(arguments.folder / f"context_{name}_h100-80gb_tp{tp}.toml", header, fitted)
        print(
            f"{name} h100-80gb tp{tp}: MAPE prefill {fitted.prefill_mape_percent:.2f} %, "
            f"decode {fitted.decode_mape_percent:.2f} %"
        )


if __name__ == "__main__":
    main()
