"""Power of a row that trains: no requests, but all servers computing and exchanging gradients in step (POLCA, section 3)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.row.reader import Reader
from inference.row.scenario import FILES, SERVERS_MAX

Float64 = npt.NDArray[np.float64]
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One synchronous job over the whole row.

    Attributes:
        name: of the scenario.
        servers: all of them provisioned.
        provisioned_w_per_server: share of the row's limit.
        days: that are drawn.
        seed: of the jitter.
        compute_gpu_share, exchange_gpu_share: power of the GPUs while they compute and while they exchange gradients, as
            a share of TDP.
        iteration_s: from one exchange to the next.
        exchange_s: of it, the exchange.
        jitter: deviation of the row's power from iteration to iteration, as a share.
    """

    name: str
    servers: int
    provisioned_w_per_server: float
    days: int
    seed: int
    compute_gpu_share: float
    exchange_gpu_share: float
    iteration_s: float
    exchange_s: float
    jitter: float

    @property
    def provisioned_w(self) -> float:
        """Power that the row may draw."""
        return self.servers * self.provisioned_w_per_server

    def power_w(self, gpus_tdp_w: float, server_w: Callable[[float], float]) -> Float64:
        """Mean power of the row in each second.

        Args:
            gpus_tdp_w: of all GPUs of one server.
            server_w: power of a server whose GPUs draw so much.
        """
        seconds = np.arange(self.days * DAY_S, dtype=np.float64)
        computing = self.iteration_s - self.exchange_s
        # Share of each second that computes: the step's edges rarely fall on whole seconds.
        starts = np.floor(seconds / self.iteration_s)
        ends = np.floor((seconds + 1.0) / self.iteration_s)
        done = np.minimum(seconds - starts * self.iteration_s, computing) + starts * computing
        then = np.minimum(seconds + 1.0 - ends * self.iteration_s, computing) + ends * computing
        share = then - done
        low_w, high_w = (
            server_w(part * gpus_tdp_w)
            for part in (self.exchange_gpu_share, self.compute_gpu_share)
        )
        rng = np.random.default_rng([self.seed, 0])
        factors = 1.0 + self.jitter * np.clip(rng.standard_normal(int(starts[-1]) + 1), -3.0, 3.0)
        power: Float64 = self.servers * (low_w + share * (high_w - low_w))
        return power * factors[starts.astype(np.int64)]


def load_training(path: Path) -> TrainingRow:
    """Read a training row.

    Raises:
        ScenarioError: the file is no TOML, has an unknown key, lacks one, or a value is out of range.
    """
    reader = Reader(path)
    document = reader.document
    reader.known(document, "", ("name", "description", "training"))
    table = reader.table(document, "training")
    shares = ("compute_gpu_share", "exchange_gpu_share")
    times = ("iteration_s", "exchange_s")
    whole = ("servers", "days", "seed")
    reader.known(table, "training", (*whole, "provisioned_w_per_server", *shares, *times, "jitter"))
    iteration_s = reader.number(table, "training.iteration_s", 2.0, 3600.0)
    return TrainingRow(
        reader.text(document, "name"),
        reader.whole(table, "training.servers", 1, SERVERS_MAX),
        reader.number(table, "training.provisioned_w_per_server", 1.0, 1e6),
        reader.whole(table, "training.days", 1, 366),
        reader.whole(table, "training.seed", 0, 2**31),
        reader.number(table, "training.compute_gpu_share", 0.0, 1.1),
        reader.number(table, "training.exchange_gpu_share", 0.0, 1.1),
        iteration_s,
        reader.number(table, "training.exchange_s", 0.0, iteration_s),
        reader.number(table, "training.jitter", 0.0, 0.1),
    )


def shipped_training() -> TrainingRow:
    """The training row that comes with the product."""
    return load_training(FILES / "polca-training.toml")
