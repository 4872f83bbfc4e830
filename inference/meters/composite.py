"""Several meters read as one, at one time."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from inference.errors import HardwareError
from inference.meters.protocols import Coverage, Domain, Meter, Sample, Scope


class CompositeMeter:
    """Meters that cover different things, side by side: packages by RAPL and GPUs by NVML, say.

    Where one of them fails, its domains are named in the sample and the others go on. A host's own sensor includes what
    all others count, so with one among them the others lie inside it.

    Attributes:
        name: those of its parts, joined.
        coverage: all their domains. Their names stay as they are.
    """

    def __init__(self, meters: Sequence[Meter]) -> None:
        """Take over the meters; `close` closes them.

        Raises:
            ValueError: none given, or two count the same thing: a measured and a modelled package, or equal names.
        """
        if not meters:
            raise ValueError("a composite meter is made of at least one meter")
        _check_disjoint(meters)
        self._meters = tuple(meters)
        self.name = "+".join(meter.name for meter in meters)
        self.coverage = Coverage(
            ", ".join(meter.coverage.source for meter in meters), _domains(meters)
        )

    def read(self, now_ns: int) -> Sample:
        """See `Meter`."""
        energy_uj: dict[str, int] = {}
        failed: dict[str, str] = {}
        error: HardwareError | None = None
        for meter in self._meters:
            try:
                sample = meter.read(now_ns)
            except HardwareError as caught:
                failed.update((domain.name, str(caught)) for domain in meter.coverage.domains)
                error = caught
                continue
            energy_uj.update(sample.energy_uj)
            failed.update(sample.failed)
        if error and not energy_uj:
            raise error
        return Sample(now_ns, energy_uj, failed)

    def close(self) -> None:
        """Close all, even where one fails."""
        with ExitStack() as stack:
            for meter in self._meters:
                stack.callback(meter.close)


def _domains(meters: Sequence[Meter]) -> tuple[Domain, ...]:
    found = tuple(domain for meter in meters for domain in meter.coverage.domains)
    host = next((domain.name for domain in found if domain.scope is Scope.HOST), "")
    return tuple(
        domain if domain.inside or domain.scope is Scope.HOST else replace(domain, inside=host)
        for domain in found
    )


def _check_disjoint(meters: Sequence[Meter]) -> None:
    names: set[str] = set()
    owners: dict[Scope, str] = {}
    for meter in meters:
        for domain in meter.coverage.domains:
            if domain.name in names:
                raise ValueError(f"two counters are named {domain.name!r}")
            names.add(domain.name)
            owner = owners.setdefault(domain.scope, meter.name)
            if owner != meter.name:
                raise ValueError(f"{owner} and {meter.name} both count {domain.scope} energy")
