"""Request classes: bins of prompt and output length, each with its objectives (DynamoLLM, table IV and section III).

The first letter is of the prompt, the second of the output. Two sets of edges matter:

- `TABLE_IV`: as printed (prompt 256 and 1024, output 100 and 350).
- `TERCILES`: the 33rd and 66th percentiles of the public 2023 conversation trace. With these edges that trace has the mix
  of the paper's one-hour experiment (SS 14, SM 18, SL 1, MS 5, MM 6, ML 22, LS 14, LM 9, LL 11 %), each share within one
  point; with the printed edges it has not (SS 3.6, LL 25.6 %).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from inference.domain.slo import RequestClass

Int64 = npt.NDArray[np.int64]

# Beyond it a request still counts as the largest class.
PROMPT_TOKENS_MAX = 8192
OUTPUT_TOKENS_MAX = 1 << 20

TTFT_MS = (250.0, 400.0, 2000.0)
TBT_MS = 100.0

# Shares of the paper's one-hour experiment, by class in the order SS … LL.
PAPER_MIX = (0.14, 0.18, 0.01, 0.05, 0.06, 0.22, 0.14, 0.09, 0.11)


@dataclass(frozen=True)
class Taxonomy:
    """A grid of classes over prompt and output length.

    Class ids count outputs first: `prompt bin * output bins + output bin`.

    Attributes:
        name: for reports.
        prompt_edges, output_edges: rising; a length equal to an edge belongs to the bin above it.
        classes: one for each pair of bins, in order of their id.

    Raises:
        ValueError: edges do not rise, or the number of classes does not fit them.
    """

    name: str
    prompt_edges: tuple[int, ...]
    output_edges: tuple[int, ...]
    classes: tuple[RequestClass, ...]

    def __post_init__(self) -> None:
        for edges in (self.prompt_edges, self.output_edges):
            if any(low >= high for low, high in pairwise(edges)):
                raise ValueError(f"{self.name}: edges {edges} must rise")
        if len(self.classes) != self.prompt_bins * self.output_bins:
            raise ValueError(f"{self.name}: {len(self.classes)} classes do not fill the grid")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def prompt_bins(self) -> int:
        """Bins of prompt length."""
        return len(self.prompt_edges) + 1

    @property
    def output_bins(self) -> int:
        """Bins of output length."""
        return len(self.output_edges) + 1

    def output_bin(self, output_tokens: int) -> int:
        """Bin of an output length, from 0."""
        return bisect_right(self.output_edges, output_tokens)

    def classify(self, prompt_tokens: int, output_tokens: int) -> int:
        """Class id of one request."""
        row = bisect_right(self.prompt_edges, prompt_tokens)
        return row * self.output_bins + bisect_right(self.output_edges, output_tokens)

    def classify_columns(self, prompt_tokens: Int64, output_tokens: Int64) -> Int64:
        """Class ids of many requests."""
        rows = np.searchsorted(self.prompt_edges, prompt_tokens, side="right")
        columns = np.searchsorted(self.output_edges, output_tokens, side="right")
        return np.asarray(rows * self.output_bins + columns, dtype=np.int64)

    def bins(self, class_id: int) -> tuple[int, int]:
        """Prompt bin and output bin of a class."""
        return divmod(class_id, self.output_bins)

    def dominates(self, larger: int, smaller: int) -> bool:
        """Whether every request of `smaller` is no longer than those of `larger`, in prompt and in output."""
        a, b = self.bins(larger), self.bins(smaller)
        return a[0] >= b[0] and a[1] >= b[1]

    def next_larger(self, class_id: int) -> int | None:
        """Where a class' remainder is promoted to: longer outputs first, then longer prompts; None for the largest."""
        row, column = self.bins(class_id)
        if column + 1 < self.output_bins:
            return class_id + 1
        if row + 1 < self.prompt_bins:
            return class_id + self.output_bins
        return None

    @cached_property
    def spill(self) -> tuple[tuple[int, ...], ...]:
        """For each class those that dominate it, itself first, then nearest first (section IV-C: spill upwards)."""
        return tuple(
            tuple(
                sorted(
                    (other for other in range(len(self)) if self.dominates(other, own)),
                    key=lambda other, own=own: (self._distance(own, other), other),  # type: ignore[misc]
                )
            )
            for own in range(len(self))
        )

    def _distance(self, smaller: int, larger: int) -> int:
        a, b = self.bins(smaller), self.bins(larger)
        return b[0] - a[0] + b[1] - a[1]


def taxonomy(
    name: str,
    prompt_edges: Sequence[int],
    output_edges: Sequence[int],
    ttft_ms: Sequence[float],
    tbt_ms: float = TBT_MS,
) -> Taxonomy:
    """A grid whose time to first token is promised by prompt bin, and whose time between tokens is one for all.

    Raises:
        ValueError: there is not one `ttft_ms` for each prompt bin, or edges do not rise.
    """
    if len(ttft_ms) != len(prompt_edges) + 1:
        raise ValueError(f"{name}: {len(ttft_ms)} objectives for {len(prompt_edges) + 1} bins")
    prompts = [*(edge - 1 for edge in prompt_edges), PROMPT_TOKENS_MAX]
    outputs = [*(edge - 1 for edge in output_edges), OUTPUT_TOKENS_MAX]
    classes = tuple(
        RequestClass(_letter(row, prompts) + _letter(column, outputs), prompt, output, ttft, tbt_ms)
        for row, (prompt, ttft) in enumerate(zip(prompts, ttft_ms, strict=True))
        for column, output in enumerate(outputs)
    )
    return Taxonomy(name, tuple(prompt_edges), tuple(output_edges), classes)


def quantile_taxonomy(
    prompt_tokens: Int64, output_tokens: Int64, prompt_bins: int, output_bins: int, slo: Taxonomy
) -> Taxonomy:
    """A grid of equally filled bins, for the choice of the number of pools (section IV-B, fragmentation).

    A bin promises what the strictest request in it is promised by `slo`.
    """
    prompt_edges = _quantiles(prompt_tokens, prompt_bins)
    output_edges = _quantiles(output_tokens, output_bins)
    lowest = (1, *prompt_edges)
    ttft_ms = [slo.classes[slo.classify(tokens, 1)].ttft_ms for tokens in lowest]
    name = f"{len(lowest)}x{len(output_edges) + 1}"
    return taxonomy(name, prompt_edges, output_edges, ttft_ms, slo.classes[0].tbt_ms)


def _quantiles(tokens: Int64, bins: int) -> tuple[int, ...]:
    cuts = np.quantile(tokens, np.arange(1, bins) / bins)
    return tuple(sorted({int(cut) + 1 for cut in cuts}))


def _letter(index: int, bins: Sequence[int]) -> str:
    if len(bins) == 1:
        return "A"
    if len(bins) == 3:
        return "SML"[index]
    return str(index)


TABLE_IV = taxonomy("table-iv", (256, 1024), (100, 350), TTFT_MS)
TERCILES = taxonomy("terciles", (409, 1103), (95, 238), TTFT_MS)
