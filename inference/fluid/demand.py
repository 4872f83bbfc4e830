"""Load of each pool over time, as the planners see it: requests of the pool's own class per second."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.policies.dynamo.predictor import ClassPredictor
from inference.policies.dynamo.spill import Equivalence
from inference.traces.rates import RateSeries

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """Load by step and pool.

    Attributes:
        step_s: length of a step.
        per_s: shape (steps, pools); what objectives are kept for.
        description: where it comes from.
        work_per_s: the same shape, what energy is drawn for; None for the same as `per_s`.
    """

    step_s: float
    per_s: Float64
    description: str
    work_per_s: Float64 | None = None

    @property
    def peak(self) -> Float64:
        """Highest load of each pool over the whole run."""
        return np.asarray(self.per_s.max(axis=0), dtype=np.float64)


def demand_of(
    rates: RateSeries,
    shares: Float64,
    equivalence: Equivalence,
    predictor: ClassPredictor | None,
    step_s: float = 300.0,
) -> Demand:
    """Split a total rate by class, and let the predictor send some requests to the wrong pool.

    A mispredicted request keeps its own work: in the pool it lands in it weighs what it costs, not what it seemed to:
    for the objectives `Equivalence.weight`, for the energy `Equivalence.work`.

    Args:
        rates: total; steps between its periods are linear.
        shares: of each class.
        equivalence: weights of classes.
        predictor: None for a perfect one.
        step_s: of the result.
    """
    steps = round(rates.duration_s / step_s)
    middles = (np.arange(steps) + 0.5) * step_s
    total = np.interp(middles, rates.t_s - rates.t_s[0] + rates.period_s / 2, rates.per_s)
    classes = len(shares)
    confusion = np.eye(classes) if predictor is None else predictor.class_confusion()
    pairs = [[(own, pool) for pool in range(classes)] for own in range(classes)]
    weights = np.array([[equivalence.weight(*pair) for pair in row] for row in pairs])
    works = np.array([[equivalence.work(*pair) for pair in row] for row in pairs])
    load, work = (np.outer(total, shares @ (confusion * each)) for each in (weights, works))
    return Demand(step_s, load, rates.description, work)
