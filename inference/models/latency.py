"""Which latency model serves a model on some GPUs."""

from typing import Literal

from inference.domain.replica import Gpu, Model
from inference.errors import ProfileError
from inference.models.profile import DATA, Profile, read_profile
from inference.models.provenance import Provenance
from inference.models.table_latency import TableLatency

Mode = Literal["table"]

# The profile was taken of one and the same model, however a simulator counts its KV cache.
_PROFILED_AS = {"llama2-70b-mha": "llama2-70b"}


def latency_model(model: Model, gpu: Gpu, tp: int, mode: Mode) -> TableLatency:
    """A fresh latency model at the GPU's highest clock; its `coverage` counts over all its uses.

    Raises:
        ProfileError: nobody profiled this model on this GPU at this tensor parallelism; the message lists who is.
    """
    return TableLatency(_table(model, gpu, tp))


def latency_provenance(model: Model, gpu: Gpu, tp: int, mode: Mode) -> Provenance:
    """Where the figures of that latency model come from.

    Raises:
        ProfileError: as `latency_model`.
    """
    return _table(model, gpu, tp).provenance


def _table(model: Model, gpu: Gpu, tp: int) -> Profile:
    name = f"{_PROFILED_AS.get(model.name, model.name)}_{gpu.name}_tp{tp}"
    path = DATA / f"table_{name}.csv"
    if not path.exists():
        known = sorted(path.stem.removeprefix("table_") for path in DATA.glob("table_*.csv"))
        raise ProfileError("latency table", name, f"expected one of {known}")
    return read_profile(
        path, ("batch_tokens", "prompt_ms", "token_ms", "repeats"), (), ("batch_tokens",)
    )
