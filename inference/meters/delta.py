"""Energy between two samples: wraps undone, resets and missed wraps told instead of guessed.

Of a counter that reads less than before there are two explanations. It *wrapped*: then the energy is what was left up
to the wrap plus what it reads now. It was *reset* (driver reloaded, machine resumed): then nobody knows what it read
just before, and what it reads now is a lower bound. Which one it was, power tells: a wrap that would need more power
than the device can draw was a reset. So was a rise that would: the counter is another one now, and nothing is known.

And where more time passed than a wrap takes at full power, the counter may have wrapped once more than one can see,
whatever it reads: then the figure is a lower bound too (as long as it was not reset meanwhile as well).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from inference.meters.protocols import Coverage, Domain, Sample, Scope
from inference.models.provenance import Origin

UJ_PER_J = 1_000_000
REFRESH_NS = 1_000_000_000
"""Counters lag behind (RAPL 1 ms, NVML some 100 ms), so two close reads may differ by what this time can use."""


class Continuity(Enum):
    """How sure a difference of two counters is.

    SURE: it rose. WRAPPED: it passed its end once. RESET: it began anew. MISSED: it may have passed its end unseen.
    """

    SURE = "sure"
    WRAPPED = "wrapped"
    RESET = "reset"
    MISSED = "missed"

    @property
    def lower_bound(self) -> bool:
        """Whether the true energy may be more."""
        return self in (Continuity.RESET, Continuity.MISSED)


def counter_delta_uj(
    domain: Domain, before_uj: int, after_uj: int, elapsed_ns: int
) -> tuple[int, Continuity]:
    """Energy between two readings of one counter, and how sure it is.

    powercap names the counter's largest value, not its modulus, which is one energy unit more (61 µJ or less): a wrap is
    short by that unit.

    Raises:
        ValueError: time ran backwards, or a counter is negative.
    """
    if elapsed_ns < 0 or before_uj < 0 or after_uj < 0:
        raise ValueError(
            f"{domain.name}: {before_uj} then {after_uj} µJ, {elapsed_ns} ns apart: none may be negative"
        )
    # W times ns is nJ.
    plausible_uj = domain.power_w_max * (elapsed_ns + REFRESH_NS) / 1000
    may_have_missed = 0 < domain.period_ns_max <= elapsed_ns
    rise_uj = after_uj - before_uj
    wrapped = rise_uj < 0
    if wrapped:
        if not domain.wraps_at_uj:
            return after_uj, Continuity.RESET
        rise_uj += domain.wraps_at_uj
    if not 0 <= rise_uj <= plausible_uj:
        return (after_uj if wrapped else 0), Continuity.RESET
    if may_have_missed:
        return rise_uj, Continuity.MISSED
    return rise_uj, Continuity.WRAPPED if wrapped else Continuity.SURE


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a scope over some time.

    Attributes:
        energy_j: what was counted.
        origin: the weakest of the domains that it sums.
        lower_bound: whether there may have been more: a counter was reset, wrapped unseen, or could not be read.
    """

    energy_j: float
    origin: Origin
    lower_bound: bool


@dataclass(frozen=True, slots=True)
class EnergyDelta:
    """What a meter's domains used between two samples.

    Attributes:
        elapsed_ns: between them.
        energy_uj: by domain name; only domains that both samples have.
        continuity: how sure each of these is.
        failed: domains without a figure, and why.
        coverage: the meter's.
    """

    elapsed_ns: int
    energy_uj: Mapping[str, int]
    continuity: Mapping[str, Continuity]
    failed: Mapping[str, str]
    coverage: Coverage

    def power_w(self, domain: str) -> float:
        """Mean power of a domain; 0 where no time passed.

        Raises:
            KeyError: the domain has no figure.
        """
        energy_uj = self.energy_uj[domain]
        return energy_uj * 1000 / self.elapsed_ns if self.elapsed_ns else 0.0

    def scope(self, scope: Scope) -> Energy | None:
        """Sum over the domains of one scope; None where the meter has none of them."""
        return self._sum([d for d in self.coverage.domains if d.scope is scope])

    @property
    def outermost(self) -> Energy | None:
        """Sum over all domains that lie in no other: nothing twice; None for a meter without domains."""
        return self._sum([d for d in self.coverage.domains if not d.inside])

    def _sum(self, domains: list[Domain]) -> Energy | None:
        if not domains:
            return None
        measured = all(d.origin is Origin.MEASURED for d in domains)
        return Energy(
            energy_j=sum(self.energy_uj.get(d.name, 0) for d in domains) / UJ_PER_J,
            origin=Origin.MEASURED if measured else Origin.MODELLED,
            lower_bound=any(
                d.name not in self.energy_uj or self.continuity[d.name].lower_bound for d in domains
            ),
        )


def energy_delta(coverage: Coverage, before: Sample, after: Sample) -> EnergyDelta:
    """Energy between two samples of one meter.

    Raises:
        ValueError: `after` is older than `before`.
    """
    elapsed_ns = after.time_ns - before.time_ns
    if elapsed_ns < 0:
        raise ValueError(f"samples are {-elapsed_ns} ns the wrong way round")
    energy_uj: dict[str, int] = {}
    continuity: dict[str, Continuity] = {}
    failed: dict[str, str] = {}
    for domain in coverage.domains:
        name = domain.name
        if name in before.energy_uj and name in after.energy_uj:
            energy_uj[name], continuity[name] = counter_delta_uj(
                domain, before.energy_uj[name], after.energy_uj[name], elapsed_ns
            )
        else:
            failed[name] = after.failed.get(name) or before.failed.get(name, "not read")
    return EnergyDelta(elapsed_ns, energy_uj, continuity, failed, coverage)
