"""Predicts the output class of a request, with a set accuracy (DynamoLLM, section IV-E: 81 % with a BERT proxy).

The truth is distorted, so that the cost of wrong predictions can be studied (DY10). A wrong answer is a neighbouring bin,
as with a classifier over ordered bins. Whether a request is mispredicted depends on the seed and its id alone, so neither
the order of requests nor the rest of the run changes it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.policies.dynamo.classes import Taxonomy

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

PAPER_ACCURACY = 0.81

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class ClassPredictor:
    """A `LengthPredictor` that knows three bins, not lengths.

    Attributes:
        taxonomy: whose output bins it predicts.
        tokens: the length that it answers for each output bin, inside that bin.
        accuracy: share of requests whose bin it tells right, 0 to 1.
        seed: which requests those are.

    Raises:
        ValueError: the accuracy is no share, or a bin's answer is outside the bin.
    """

    taxonomy: Taxonomy
    tokens: tuple[int, ...]
    accuracy: float = PAPER_ACCURACY
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.accuracy <= 1.0:
            raise ValueError(f"accuracy {self.accuracy} is no share between 0 and 1")
        answers = tuple(self.taxonomy.output_bin(tokens) for tokens in self.tokens)
        if answers != tuple(range(self.taxonomy.output_bins)):
            raise ValueError(f"answers {self.tokens} must lie one in each output bin")

    def predict(self, request_id: int, prompt_tokens: int, output_tokens: int) -> int:
        """Predicted output tokens: the answer of the predicted bin; `output_tokens` is the truth."""
        return self.tokens[self.predict_bin(request_id, output_tokens)]

    def predict_bin(self, request_id: int, output_tokens: int) -> int:
        """Predicted output bin."""
        truth = self.taxonomy.output_bin(output_tokens)
        draw = _uniform(self.seed, request_id)
        last = self.taxonomy.output_bins - 1
        if draw < self.accuracy or last == 0:
            return truth
        if truth == 0:
            return 1
        if truth == last:
            return last - 1
        # The draw is uniform above the accuracy, so its half there decides the side.
        return truth - 1 if draw < (1.0 + self.accuracy) / 2 else truth + 1

    def confusion(self) -> Float64:
        """Row t, column p: share of requests of output bin t that are predicted as p."""
        bins = self.taxonomy.output_bins
        if bins == 1:
            return np.ones((1, 1))
        matrix = np.eye(bins) * self.accuracy
        wrong = 1.0 - self.accuracy
        matrix[0, 1] = matrix[-1, -2] = wrong
        for middle in range(1, bins - 1):
            matrix[middle, middle - 1] = matrix[middle, middle + 1] = wrong / 2
        return matrix

    def class_confusion(self) -> Float64:
        """The same over whole classes: the prompt bin is known, so only the output bin is confused."""
        whole = np.kron(np.eye(self.taxonomy.prompt_bins), self.confusion())
        return np.asarray(whole, dtype=np.float64)


def _uniform(seed: int, request_id: int) -> float:
    """SplitMix64's mixing of both numbers, as a share in [0, 1)."""
    state = ((seed & _MASK) * 0xD1B54A32D192ED03 + (request_id + 1) * 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((state ^ (state >> 31)) >> 11) / (1 << 53)
