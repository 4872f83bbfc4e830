"""Writes what `inference.models.context_profile` reads."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Coefficients:
    """Fields of `ContextProfile` in the file's order; `decode` is base, per request, context and lone context."""

    decode: tuple[float, float, float, float]
    tokens: list[int]
    prefill_ns: list[float]
    cached_ns: float
    pair_ns: float
    tokens_min: int
    tokens_max: int
    batch_max: int
    context_max: int
    prefill_mape_percent: float | None
    decode_mape_percent: float | None

    def slower_prefill(self, factor: float) -> "Coefficients":
        """The same with prefills that take `factor` times as long."""
        return dataclasses.replace(
            self,
            prefill_ns=[factor * ns for ns in self.prefill_ns],
            cached_ns=factor * self.cached_ns,
            pair_ns=factor * self.pair_ns,
        )


def write_profile(path: Path, header: Mapping[str, str], fitted: Coefficients) -> None:
    """Write a profile; nanoseconds to a tenth, coefficients per token to six digits."""
    base_ns, per_request_ns, context_ns, lone_context_ns = fitted.decode
    lines = ["[provenance]"]
    lines += [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in header.items()]
    lines += [
        "",
        "[decode]",
        f"base_ns = {base_ns:.1f}",
        f"per_request_ns = {per_request_ns:.1f}",
        f"context_ns = {context_ns:#.6g}",
        f"lone_context_ns = {lone_context_ns:#.6g}",
        "",
        "[prefill]",
        f"tokens = {fitted.tokens}",
        f"ns = [{', '.join(f'{ns:.1f}' for ns in fitted.prefill_ns)}]",
        f"cached_ns = {fitted.cached_ns:#.6g}",
        f"pair_ns = {fitted.pair_ns:#.6g}",
        "",
        "[range]",
        f"tokens_min = {fitted.tokens_min}",
        f"tokens_max = {fitted.tokens_max}",
        f"batch_max = {fitted.batch_max}",
        f"context_max = {fitted.context_max}",
    ]
    quality = (
        ("prefill_mape_percent", fitted.prefill_mape_percent),
        ("decode_mape_percent", fitted.decode_mape_percent),
    )
    known = [f"{key} = {percent:.2f}" for key, percent in quality if percent is not None]
    if known:
        lines += ["", "[fit]", *known]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
