"""Fitted coefficients of the context-aware iteration cost, as TOML with a [provenance] table."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.errors import ProfileError
from inference.models.profile import provenance_of
from inference.models.provenance import Provenance


@dataclass(frozen=True, slots=True)
class ContextProfile:
    """Iteration cost of one model on one kind of GPU at one tensor parallelism, at the highest clock.

    decode: base_ns + per_request_ns * batch + (context_ns + lone_context_ns / batch) * sum of contexts.
    prefill: linear between (prefill_tokens, prefill_ns), plus cached_ns * cached + pair_ns * new tokens * cached.

    Attributes:
        name: of its file.
        provenance: of all figures.
        base_ns: reading the weights, launching kernels.
        per_request_ns: for each request in the batch.
        context_ns: for each token in any request's KV cache.
        lone_context_ns: the same for a kernel whose time follows the mean context, not their sum; 0 for most.
        prefill_tokens, prefill_ns: knots, ascending and not falling; the first is at 1 token, the last at the end of what
            was measured; beyond it the last segment goes on.
        cached_ns: of a prefill, for each token that was cached before.
        pair_ns: attention of one new token to one cached token.
        tokens_min, tokens_max: measured range of prefills.
        batch_max, context_max: measured range of decodes: requests, and sum of contexts.
        prefill_mape_percent, decode_mape_percent: of the fit, on the rows that it was made from; None where whoever
            fitted does not say.
    """

    name: str
    provenance: Provenance
    base_ns: float
    per_request_ns: float
    context_ns: float
    lone_context_ns: float
    prefill_tokens: tuple[int, ...]
    prefill_ns: tuple[float, ...]
    cached_ns: float
    pair_ns: float
    tokens_min: int
    tokens_max: int
    batch_max: int
    context_max: int
    prefill_mape_percent: float | None
    decode_mape_percent: float | None


_KEYS: Mapping[str, tuple[str, ...]] = {
    "decode": ("base_ns", "per_request_ns", "context_ns", "lone_context_ns"),
    "prefill": ("tokens", "ns", "cached_ns", "pair_ns"),
    "range": ("tokens_min", "tokens_max", "batch_max", "context_max"),
    "fit": ("prefill_mape_percent", "decode_mape_percent"),
}
_OPTIONAL = "fit"


def read_context_profile(path: Path) -> ContextProfile:
    """Read and check a profile.

    Raises:
        ProfileError: no such file, no TOML, key missing or unknown, figure negative or not finite, knots out of order.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProfileError(path.name, "file", "expected a profile, found no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ProfileError(path.name, "file", f"expected TOML: {fault}") from fault
    provenance = provenance_of(path.name, "provenance", tables.pop("provenance", {}))
    unknown = sorted(set(tables) - set(_KEYS))
    if unknown:
        raise ProfileError(path.name, unknown[0], f"unknown table; expected {sorted(_KEYS)}")
    for table, keys in _KEYS.items():
        present = tables.get(table, {})
        for key in keys:
            if key not in present and table != _OPTIONAL:
                raise ProfileError(path.name, f"{table}.{key}", "expected this key, found none")
        for key in present:
            if key not in keys:
                raise ProfileError(path.name, f"{table}.{key}", f"unknown key; expected {keys}")
    decode, prefill, span, fit = (tables.get(table, {}) for table in _KEYS)
    tokens, times = _knots(path.name, prefill["tokens"], prefill["ns"])
    return ContextProfile(
        name=path.name,
        provenance=provenance,
        base_ns=_figure(path.name, "decode.base_ns", decode["base_ns"]),
        per_request_ns=_figure(path.name, "decode.per_request_ns", decode["per_request_ns"]),
        context_ns=_figure(path.name, "decode.context_ns", decode["context_ns"]),
        lone_context_ns=_figure(path.name, "decode.lone_context_ns", decode["lone_context_ns"]),
        prefill_tokens=tokens,
        prefill_ns=times,
        cached_ns=_figure(path.name, "prefill.cached_ns", prefill["cached_ns"]),
        pair_ns=_figure(path.name, "prefill.pair_ns", prefill["pair_ns"]),
        tokens_min=_count(path.name, "range.tokens_min", span["tokens_min"]),
        tokens_max=_count(path.name, "range.tokens_max", span["tokens_max"]),
        batch_max=_count(path.name, "range.batch_max", span["batch_max"]),
        context_max=_count(path.name, "range.context_max", span["context_max"]),
        prefill_mape_percent=_known(path.name, fit, "prefill_mape_percent"),
        decode_mape_percent=_known(path.name, fit, "decode_mape_percent"),
    )


def _figure(name: str, key: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 0:
            return float(value)
    raise ProfileError(name, key, f"expected a finite number of at least 0, found {value!r}")


def _known(name: str, fit: Mapping[str, object], key: str) -> float | None:
    return _figure(name, f"fit.{key}", fit[key]) if key in fit else None


def _count(name: str, key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ProfileError(name, key, f"expected a whole number of at least 1, found {value!r}")
    return value


def _knots(name: str, tokens: object, times: object) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if not isinstance(tokens, list) or not isinstance(times, list) or len(tokens) != len(times):
        raise ProfileError(name, "prefill.tokens", "expected as many as in prefill.ns")
    counts = tuple(_count(name, "prefill.tokens", value) for value in tokens)
    figures = tuple(_figure(name, "prefill.ns", value) for value in times)
    if len(counts) < 2 or counts[0] != 1:
        raise ProfileError(name, "prefill.tokens", f"expected 2 or more from 1 on, found {tokens}")
    if sorted(set(counts)) != list(counts):
        raise ProfileError(name, "prefill.tokens", f"expected them ascending, found {tokens}")
    if sorted(figures) != list(figures) or figures[0] < 1:
        raise ProfileError(name, "prefill.ns", f"expected at least 1, never falling; found {times}")
    return counts, figures
