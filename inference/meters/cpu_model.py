"""A modelled CPU meter for machines without RAPL: utilisation times a stated power curve. It measures nothing."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from inference.errors import HardwareError, ProfileError
from inference.meters.protocols import Coverage, Domain, Sample, Scope
from inference.meters.sysfs import HostRoots, read_text
from inference.models.provenance import Origin, Provenance


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """Power of all packages over utilisation: straight lines between points.

    Attributes:
        points: (utilisation, W), utilisations rising from 0 to 1.
        provenance: whose figures they are. However they were found, energy computed from them is modelled.
    """

    points: tuple[tuple[float, float], ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        source = self.provenance.source
        utilisations = [utilisation for utilisation, _ in self.points]
        if len(self.points) < 2 or utilisations[0] != 0.0 or utilisations[-1] != 1.0:
            raise ProfileError(source, "points", f"from utilisation 0 to 1, not {utilisations}")
        if not all(low < high for low, high in pairwise(utilisations)):
            raise ProfileError(source, "points", f"rising utilisations, not {utilisations}")
        if not all(0.0 <= power_w < float("inf") for _, power_w in self.points):
            raise ProfileError(source, "points", "finite watts, none negative")

    @classmethod
    def between(
        cls, idle_w: float, busy_w: float, provenance: Provenance, exponent: float = 1.4
    ) -> "PowerCurve":
        """The curve of Fan, Weber and Barroso (ISCA 2007): idle + (busy - idle) * (2u - u^exponent), in 5 % steps.

        Args:
            idle_w: at utilisation 0.
            busy_w: at utilisation 1.
            provenance: of these two.
            exponent: 1.4 is the paper's fit; 1.0 is a straight line.

        Raises:
            ProfileError: a power is negative or not finite.
        """
        steps = [step / 20 for step in range(21)]
        return cls(
            tuple((u, idle_w + (busy_w - idle_w) * (2 * u - u**exponent)) for u in steps),
            provenance,
        )

    def power_mw(self, utilisation: float) -> int:
        """Power at a utilisation; outside 0 to 1 that of the nearer end."""
        utilisation = min(max(utilisation, 0.0), 1.0)
        right = min(bisect_right(self.points, (utilisation, float("inf"))), len(self.points) - 1)
        (u0, w0), (u1, w1) = self.points[right - 1], self.points[right]
        return round(1000 * (w0 + (w1 - w0) * (utilisation - u0) / (u1 - u0)))


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """The first line of `/proc/stat`, in ticks since boot.

    Attributes:
        busy: user, nice, system, irq and softirq. Guests are in user already.
        idle: idle and iowait, and steal: a virtual machine's stolen time heats somebody else's account.
    """

    busy: int
    idle: int


def parse_stat(text: str, source: str) -> CpuTimes:
    """Read `/proc/stat`.

    Raises:
        HardwareError: its first line is not the sum over all CPUs.
    """
    fields = text.partition("\n")[0].split()
    if len(fields) < 8 or fields[0] != "cpu" or not all(one.isdecimal() for one in fields[1:]):
        raise HardwareError(
            source, f"begins {fields[:3]}", "expected 'cpu' and at least 7 counters"
        )
    user, nice, system, idle, iowait, irq, softirq, *rest = (int(one) for one in fields[1:])
    steal = rest[0] if rest else 0
    return CpuTimes(user + nice + system + irq + softirq, idle + iowait + steal)


def utilisation(before: CpuTimes, after: CpuTimes) -> float:
    """Share of CPU time that was busy; 0 where no tick passed.

    iowait is known to run backwards on some kernels, so each part counts from 0 up.
    """
    busy = max(after.busy - before.busy, 0)
    idle = max(after.idle - before.idle, 0)
    return busy / (busy + idle) if busy + idle else 0.0


class CpuModelMeter:
    """Energy of all packages together by a stated curve. Modelled, and says so.

    Two reads within one tick (10 ms) see no time pass; then the last utilisation goes on.

    Attributes:
        name: "cpu-model".
        coverage: one domain, "cpu".
    """

    def __init__(self, curve: PowerCurve, roots: HostRoots | None = None) -> None:
        """Begin to count.

        Args:
            curve: power over utilisation, stated by whoever runs this.
            roots: where the kernel's file systems are.

        Raises:
            HardwareError: `/proc/stat` cannot be read.
        """
        self.name = "cpu-model"
        self._curve = curve
        self._file = (roots or HostRoots()).proc / "stat"
        note = f"utilisation of /proc/stat times the curve of {curve.provenance.source}"
        domain = Domain("cpu", Scope.PACKAGE, Origin.MODELLED, note=note)
        self.coverage = Coverage("utilisation model", (domain,))
        self._times = self._read()
        self._time_ns = -1
        self._utilisation = 0.0
        self._energy_pj = 0

    def read(self, now_ns: int) -> Sample:
        """See `Meter`."""
        times = self._read()
        if times != self._times:
            self._utilisation = utilisation(self._times, times)
            self._times = times
        if self._time_ns >= 0:
            self._energy_pj += self._curve.power_mw(self._utilisation) * (now_ns - self._time_ns)
        self._time_ns = now_ns
        return Sample(now_ns, {"cpu": self._energy_pj // 1_000_000})

    def close(self) -> None:
        """See `Meter`; it holds nothing."""

    def _read(self) -> CpuTimes:
        return parse_stat(read_text(self._file, "mount /proc"), str(self._file))
