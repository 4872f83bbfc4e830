"""Which latency model serves a model on some GPUs, and what it is made from."""

from pathlib import Path
from typing import Literal

from inference.domain.replica import Gpu, Model
from inference.errors import ProfileError
from inference.models.clock import clock_law
from inference.models.context_latency import ContextLatency
from inference.models.context_profile import read_context_profile
from inference.models.profile import DATA, Profile, read_profile
from inference.models.provenance import Provenance
from inference.models.table_latency import TableLatency

# "table" is splitwise-sim's reckoning, for parity; "context" knows contexts and clocks.
Mode = Literal["table", "context"]

_SUFFIXES: dict[Mode, str] = {"table": ".csv", "context": ".toml"}

# The profile was taken of one and the same model, however a simulator counts its KV cache.
_PROFILED_AS = {"llama2-70b-mha": "llama2-70b"}


def latency_model(model: Model, gpu: Gpu, tp: int, mode: Mode) -> TableLatency | ContextLatency:
    """A fresh latency model at the GPU's highest clock; its `coverage` counts over all its uses and clocks.

    Raises:
        ProfileError: nobody profiled this model on this GPU at this tensor parallelism; the message lists who is.
    """
    path = _path(model, gpu, tp, mode)
    if mode == "table":
        return TableLatency(_table(path))
    return ContextLatency(read_context_profile(path), clock_law(gpu), gpu.clock_mhz_max)


def latency_provenance(model: Model, gpu: Gpu, tp: int, mode: Mode) -> Provenance:
    """Where the figures of that latency model come from; below the highest clock add `clock.PROVENANCE`.

    Raises:
        ProfileError: as `latency_model`.
    """
    path = _path(model, gpu, tp, mode)
    if mode == "table":
        return _table(path).provenance
    return read_context_profile(path).provenance


def profiled(mode: Mode) -> tuple[tuple[str, str, int], ...]:
    """All (model, gpu, tp) that have a latency profile, by name."""
    found = []
    for path in sorted(DATA.glob(f"{mode}_*{_SUFFIXES[mode]}")):
        _, model, gpu, tp = path.stem.split("_")
        found.append((model, gpu, int(tp.removeprefix("tp"))))
    return tuple(found)


def _path(model: Model, gpu: Gpu, tp: int, mode: Mode) -> Path:
    wanted = (_PROFILED_AS.get(model.name, model.name), gpu.name, tp)
    known = profiled(mode)
    if wanted not in known:
        raise ProfileError(
            f"latency {mode}", "model, gpu, tp", f"expected one of {list(known)}, found {wanted}"
        )
    return DATA / f"{mode}_{wanted[0]}_{wanted[1]}_tp{tp}{_SUFFIXES[mode]}"


def _table(path: Path) -> Profile:
    columns = ("batch_tokens", "prompt_ms", "token_ms", "repeats")
    return read_profile(path, columns, (), ("batch_tokens",))
