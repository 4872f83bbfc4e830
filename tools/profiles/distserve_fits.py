"""Take DistServe's published fits over as context-aware profiles.

    python -m tools.profiles.distserve_fits path/to/profiler-a100-80g.vllm.json inference/models/data

It fits prefills by a + b * tokens + c * tokens^2 and decodes by a + c * sum of contexts + d * batch, in ms, which is the
form of ours. Of its two decode fits the one for small batches is taken; the other begins at the batch given as its range.
"""

import argparse
import json
from pathlib import Path

from inference.models.catalog import MODELS
from tools.profiles.context_file import Coefficients, write_profile

# OPT knows positions up to 2048: nothing beyond can have been measured.
KNOTS = (1, 128, 256, 512, 1024, 2048)


def main() -> None:
    """Write one profile for each model and TP."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("published", type=Path, help="profiler-a100-80g.vllm.json of DistServe")
    parser.add_argument("folder", type=Path, help="inference/models/data")
    arguments = parser.parse_args()
    published = json.loads(arguments.published.read_text(encoding="utf-8"))
    for path, by_tp in published.items():
        model = MODELS[path.removeprefix("facebook/")]
        for tp, fits in by_tp.items():
            base, linear, square = fits["prefill"]
            decode_ms, context_ms, request_ms = fits["decoding_smallbs"]
            batch_max = fits["decoding_large_small_bs_threshold"]
            coefficients = Coefficients(
                decode=(decode_ms * 1e6, request_ms * 1e6, context_ms * 1e6, 0.0),
                tokens=list(KNOTS),
                prefill_ns=[(base + linear * n + square * n * n) * 1e6 for n in KNOTS],
                cached_ns=context_ms * 1e6,
                # A token attends to those before it, half of them on average: twice the square's coefficient, which their fit
                # of OPT-66B at TP 2 has below zero.
                pair_ns=max(0.0, 2 * square * 1e6),
                tokens_min=1,
                tokens_max=KNOTS[-1],
                batch_max=batch_max,
                context_max=batch_max * KNOTS[-1],
                prefill_mape_percent=None,
                decode_mape_percent=None,
            )
            header = {
                "origin": "quoted",
                "by": "DistServe authors (OSDI'24)",
                "on": f"a100-80gb, {tp} GPUs, vLLM",
                "when": "2024",
                "source": "LLMServe/DistServe @ 82831f1, profiler-a100-80g.vllm.json",
                "licence": "Apache-2.0",
                "note": "their fitted coefficients; the error of their fit and its range of contexts are not published",
            }
            write_profile(
                arguments.folder / f"context_{model.name}_a100-80gb_tp{tp}.toml",
                header,
                coefficients,
            )


if __name__ == "__main__":
    main()
