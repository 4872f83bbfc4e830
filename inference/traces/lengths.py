"""Where a generator takes prompt and output lengths from."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.traces.bundled import checked_service, percentiles_2024
from inference.traces.trace import Trace

Int64 = npt.NDArray[np.int64]


class LengthSource(Protocol):
    """Draws lengths of requests."""

    @property
    def description(self) -> str:
        """In words, for a trace's description."""
        ...

    def draw(self, count: int, random: np.random.Generator) -> tuple[Int64, Int64]:
        """Draw prompt and output tokens of `count` requests, at least 1 each."""
        ...


@dataclass(frozen=True, slots=True)
class PairedLengths:
    """Lengths of a trace's requests, drawn with replacement; each output stays with its prompt."""

    trace: Trace

    @property
    def description(self) -> str:
        """In words."""
        return f"pairs of lengths from {self.trace.name}"

    def draw(self, count: int, random: np.random.Generator) -> tuple[Int64, Int64]:
        """Draw rows of the trace."""
        rows = random.integers(0, len(self.trace), count)
        return self.trace.prompt_tokens[rows], self.trace.output_tokens[rows]


@dataclass(frozen=True, slots=True)
class Lengths2024:
    """Lengths by the digitised distributions of Azure's 2024 week; prompt and output are independent.

    Prompts are good to about 30 tokens, outputs to about 11; beyond percentile 99.7 the last known length is repeated.

    Attributes:
        service: "code" or "conv".
    """

    service: str

    def __post_init__(self) -> None:
        checked_service(self.service)

    @property
    def description(self) -> str:
        """In words."""
        return f"lengths by the digitised 2024 distributions of {self.service}"

    def draw(self, count: int, random: np.random.Generator) -> tuple[Int64, Int64]:
        """Invert both distributions at random places."""
        return self._drawn("input", count, random), self._drawn("output", count, random)

    def _drawn(self, which: str, count: int, random: np.random.Generator) -> Int64:
        percentiles, tokens = percentiles_2024(self.service, which)
        drawn = np.interp(random.uniform(0.0, 100.0, count), percentiles, tokens)
        return np.rint(drawn).astype(np.int64)
