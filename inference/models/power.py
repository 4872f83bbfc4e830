"""Power of one replica's GPUs, by what they do and at which clock. The server around them: `server.py`."""

from dataclasses import dataclass, replace

from inference.domain.replica import Gpu, Model
from inference.models.coverage import Coverage
from inference.models.power_clock import A100_LAW, H100_LAW, ClockPowerLaw
from inference.models.power_curve import (
    PowerCurve,
    a100_curve,
    a100_profile,
    h100_curve,
    known_gpu,
    measured_curves,
)
from inference.models.provenance import Origin, Provenance

TOKEN_BUCKET = 16
"""Prefills are remembered by buckets of this many tokens, each with the power of its middle."""

H100_TDP_W = 700.0

_LAWS = {"a100": A100_LAW, "h100": H100_LAW}

# The same model, however a simulator counts its KV cache.
_MEASURED_AS = {"llama2-70b-mha": "llama2-70b"}


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """What all clocks of one replica share. `limit` is of TDP: 1, or less under a fixed power limit."""

    curve: PowerCurve
    law: ClockPowerLaw
    tp: int
    tdp_w: float
    limit: float
    clock_mhz_max: int
    coverage: Coverage
    clocks: dict[int, "GpuPower"]


class _Prefills(dict[int, float]):
    """Mean power by bucket of tokens, computed when first asked for."""

    __slots__ = ("_power",)

    def __init__(self, power: "GpuPower") -> None:
        self._power = power

    def __missing__(self, bucket: int) -> float:
        watts = self._power.prefill_mean_w(bucket * TOKEN_BUCKET + TOKEN_BUCKET // 2)
        self[bucket] = watts
        return watts


class _Decodes(dict[int, float]):
    """Mean power by batch, computed when first asked for."""

    __slots__ = ("_power",)

    def __init__(self, power: "GpuPower") -> None:
        self._power = power

    def __missing__(self, batch: int) -> float:
        watts = self._power.decode_mean_w(batch)
        self[batch] = watts
        return watts


class GpuPower:
    """A `PowerModel` from curves of fractions of TDP and the clock law of `power_clock`.

    Attributes:
        clock_mhz: SM clock that it is bound to.
        clock_mhz_max: the GPU's highest.
        idle_w: of all the replica's GPUs; no clock changes it, for idle GPUs lower their clock by themselves.
        tdp_w: of all its GPUs together.
    """

    __slots__ = ("_decodes", "_kind", "_prefills", "clock_mhz", "clock_mhz_max", "idle_w", "tdp_w")

    def __init__(self, kind: _Kind, clock_mhz: int) -> None:
        self._kind = kind
        self.clock_mhz = clock_mhz
        self.clock_mhz_max = kind.clock_mhz_max
        self.tdp_w = kind.tp * kind.tdp_w
        self.idle_w = self.tdp_w * kind.curve.idle
        self._prefills = _Prefills(self)
        self._decodes = _Decodes(self)

    def prefill_w(self, tokens: int) -> float:
        """Mean power of an iteration that prefills `tokens`; at most TDP."""
        low, high = self._kind.curve.tokens_range
        if tokens < low:
            self._kind.coverage.below_prefill += 1
        elif tokens > high:
            self._kind.coverage.above_prefill += 1
        return self._prefills[tokens // TOKEN_BUCKET]

    def decode_w(self, batch: int, context_tokens: int) -> float:
        """Mean power of decode iterations of `batch` requests; their context does not change it."""
        low, high = self._kind.curve.batch_range
        if batch < low:
            self._kind.coverage.below_decode += 1
        elif batch > high:
            self._kind.coverage.above_decode += 1
        return self._decodes[batch]

    def mixed_w(self, tokens: int, batch: int, context_tokens: int) -> float:
        """Of an iteration that does both: the hungrier of the prefill with the decodes' tokens in it and the decodes."""
        if tokens < 1:
            return self.decode_w(batch, context_tokens)
        return max(self._prefills[(tokens + batch) // TOKEN_BUCKET], self._decodes[batch])

    def at_clock(self, clock_mhz: int) -> "GpuPower":
        """The same replica at another SM clock, from 1 to the highest.

        Raises:
            ValueError: no such clock.
        """
        known = self._kind.clocks.get(clock_mhz)
        if known is not None:
            return known
        if not 1 <= clock_mhz <= self.clock_mhz_max:
            raise ValueError(f"clock_mhz must be 1 to {self.clock_mhz_max}, found {clock_mhz}")
        made = self._kind.clocks[clock_mhz] = GpuPower(self._kind, clock_mhz)
        return made

    def prefill_mean_w(self, tokens: int) -> float:
        """As `prefill_w`, exact to the token and not remembered."""
        return self.tdp_w * min(self._kind.limit, self._fraction_prefill(tokens))

    def prefill_peak_w(self, tokens: int) -> float:
        """Highest power within a prefill of `tokens`: short spikes exceed TDP and any cap (POLCA, section 4)."""
        return self.tdp_w * self._fraction_prefill(tokens)

    def decode_mean_w(self, batch: int) -> float:
        """As `decode_w`, not remembered."""
        curve = self._kind.curve
        above = curve.decode_fraction(batch) - curve.idle
        fraction = curve.idle + above * self._kind.law.dynamic_share(
            self._ratio, self._kind.law.unclocked_decode
        )
        return self.tdp_w * min(self._kind.limit, fraction)

    def capped(self, cap_w: float, tokens: int = 8192, batch: int = 64) -> int:
        """Highest SM clock in MHz that keeps every iteration under a cap: locking it there is proactive.

        Args:
            cap_w: for all the replica's GPUs together.
            tokens: the longest prefill to expect; shorter ones are looked at too.
            batch: the most requests to decode at once.

        Returns:
            The clock, at least 1: below idle power no clock helps, and 1 is as low as can be asked.
        """
        sizes = {max(1, tokens >> halvings) for halvings in range(tokens.bit_length())}
        prefills = min(self.capped_prefill(cap_w, size) for size in sizes)
        return min(prefills, self.capped_decode(cap_w, batch))

    def capped_prefill(self, cap_w: float, tokens: int) -> int:
        """The same for prefills of just so many tokens."""
        top = self._kind.curve.prefill_fraction(tokens)
        return self._clock_under(cap_w, top, self._unclocked(tokens))

    def capped_decode(self, cap_w: float, batch: int) -> int:
        """The same for a replica that only decodes, up to `batch` requests at once (Splitwise's HHcap token machines)."""
        top = self._kind.curve.decode_fraction(batch)
        return self._clock_under(cap_w, top, self._kind.law.unclocked_decode)

    def warnings(self) -> tuple[str, ...]:
        """Calls outside what the profile covers, over all clocks, fit for `RunResult.warnings`."""
        curve, seen = self._kind.curve, self._kind.coverage
        counts = (
            ("prefill", "below", curve.tokens_range, "tokens", seen.below_prefill),
            ("prefill", "above", curve.tokens_range, "tokens", seen.above_prefill),
            ("decode", "below", curve.batch_range, "requests", seen.below_decode),
            ("decode", "above", curve.batch_range, "requests", seen.above_decode),
        )
        return tuple(
            f"{seen.what}: {count} {phase} calls {side} the profiled {ends[0]} to {ends[1]} {unit} were extrapolated"
            for phase, side, ends, unit, count in counts
            if count
        )

    @property
    def _ratio(self) -> float:
        return self.clock_mhz / self.clock_mhz_max

    def _fraction_prefill(self, tokens: int) -> float:
        curve = self._kind.curve
        share = self._kind.law.dynamic_share(self._ratio, self._unclocked(tokens))
        return curve.idle + (curve.prefill_fraction(tokens) - curve.idle) * share

    def _unclocked(self, tokens: int) -> float:
        """A prefill of few tokens reads weights as a decode does, and follows the clock as little."""
        law = self._kind.law
        part = self._kind.curve.compute_bound(tokens)
        return law.unclocked_decode + (law.unclocked_prefill - law.unclocked_decode) * part

    def _clock_under(self, cap_w: float, fraction: float, unclocked: float) -> int:
        idle = self._kind.curve.idle
        share = (cap_w / self.tdp_w - idle) / (fraction - idle)
        return max(1, int(self._kind.law.clock_ratio(share, unclocked) * self.clock_mhz_max))


def power_model(model: Model, gpu: Gpu, tp: int, law: ClockPowerLaw | None = None) -> GpuPower:
    """Power of `tp` GPUs that serve a model, at their highest clock.

    Args:
        model: with its weights.
        gpu: of a kind that power is known of.
        tp: how many.
        law: of power against the clock; the GPU's own by default, another for studies of how much rests on it.

    Raises:
        ProfileError: nothing is known of that GPU's power.
        ValueError: `tp` below 1.
    """
    if tp < 1:
        raise ValueError(f"tp must be at least 1, found {tp}")
    curve = _curve(model, gpu, tp)
    capped = gpu.name.endswith("-pcap")
    tdp_w = H100_TDP_W if capped else gpu.tdp_w
    kind = _Kind(
        curve=curve,
        law=law if law is not None else _LAWS[known_gpu(gpu.name)],
        tp=tp,
        tdp_w=tdp_w,
        limit=gpu.tdp_w / tdp_w,
        clock_mhz_max=gpu.clock_mhz_max,
        coverage=Coverage(f"power {model.name} {gpu.name} tp{tp}", "", ""),
        clocks={},
    )
    return kind.clocks.setdefault(gpu.clock_mhz_max, GpuPower(kind, gpu.clock_mhz_max))


def power_provenance(model: Model, gpu: Gpu, tp: int) -> Provenance:
    """Where the figures of that power model come from: modelled as a whole; the note says what of it was measured.

    Raises:
        ProfileError: as `power_model`.
    """
    family = known_gpu(gpu.name)
    law = "idle and the law of clocks are modelled (power_clock.py)"
    if gpu.name == "a100-80gb" and _measured(model, tp) is not None:
        return replace(
            a100_profile().provenance,
            origin=Origin.MODELLED,
            note=f"prefill and decode at the highest clock are measured medians; {law}",
        )
    if family == "h100":
        return Provenance(
            Origin.MODELLED,
            "junctiond",
            gpu.name,
            "2026",
            "data/power_anchors.csv: DynamoLLM's idle power, ML.ENERGY v3's decode power; shapes of data/power_a100-80gb.csv",
            f"decode levels fitted to quoted figures of Llama-3.1-70B on 4 H100; prefill to TDP; {law}",
        )
    return replace(
        a100_profile().provenance,
        origin=Origin.MODELLED,
        by="junctiond",
        on=gpu.name,
        note=f"nobody measured {model.name} at tp {tp}: taken from measured A100 rows of other models by weights per GPU; {law}",
    )


def _measured(model: Model, tp: int) -> PowerCurve | None:
    return measured_curves().get((_MEASURED_AS.get(model.name, model.name), tp))


def _curve(model: Model, gpu: Gpu, tp: int) -> PowerCurve:
    family = known_gpu(gpu.name)
    weights = model.weights_bytes / tp
    if family == "h100":
        return h100_curve(weights, H100_TDP_W)
    measured = _measured(model, tp) if gpu.name == "a100-80gb" else None
    return measured if measured is not None else a100_curve(weights)
