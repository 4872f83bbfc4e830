"""A host full of idle replicas: its memory, and the CPU time that it uses while nobody asks it anything."""

import time
from collections.abc import Callable

from loadtests import process_cost
from loadtests.instance import Instance
from loadtests.machine import meminfo_kib
from loadtests.memory import KERNEL_FIELDS, PLATFORM_ROLES
from loadtests.placement import Placement
from loadtests.record import Subject
from loadtests.series import OURS, Series

Say = Callable[[str], None]
FUNCTION = "aes"
PER_FUNCTION = 50
WINDOW_S = 30.0
QUIET_S = 5.0
"""After the last launch, before the host counts as idle."""
KIB_PER_GIB = 1 << 20


def measure(host: Instance, image: str, replicas: int, say: Say) -> Series:
    """Starts that many replicas of aes, in functions of fifty, looks at them, and removes them.

    The figures' names carry the number, so that no goal for a thousand is met by fewer.

    Raises:
        GatewayRefused: they did not all become available.
    """
    series = Series("idle", Subject(FUNCTION, "", str(Placement.OWN)))
    kernel_before, available_before = _kernel_kib(), meminfo_kib("MemAvailable")
    names = [f"idle-{number}" for number in range(-(-replicas // PER_FUNCTION))]
    began_ns = time.monotonic_ns()
    for number, name in enumerate(names):
        wanted = min(PER_FUNCTION, replicas - number * PER_FUNCTION)
        host.gateway.deploy(name, image, labels={"com.openfaas.scale.max": str(PER_FUNCTION)})
        host.gateway.scale(name, wanted)
        host.gateway.wait_for_replicas(name, wanted)
        say(f"idle: {number * PER_FUNCTION + wanted} of {replicas} replicas")
    started_s = (time.monotonic_ns() - began_ns) / 1e9
    time.sleep(QUIET_S)
    _note_memory(series, host, replicas, kernel_before, available_before)
    _note_cpu(series, host, replicas, say)
    series.add(OURS, f"idle{replicas}_started_per_s", replicas / started_s)
    for name in names:
        host.gateway.remove(name)
    for name in names:
        host.wait_for_keepers(0, name)
    return series


def _note_memory(
    series: Series, host: Instance, replicas: int, kernel_kib: int, available_kib: int
) -> None:
    roles = host.platform()
    platform_kib = process_cost.pss_kib(pid for role in PLATFORM_ROLES for pid in roles[role])
    functions_kib = process_cost.pss_kib(roles["function"])
    kernel_grown_kib = _kernel_kib() - kernel_kib
    total_kib = platform_kib + functions_kib + max(0, kernel_grown_kib)
    series.add(OURS, f"idle{replicas}_host_gib", total_kib / KIB_PER_GIB)
    series.add(OURS, f"idle{replicas}_platform_gib", platform_kib / KIB_PER_GIB)
    series.add(OURS, f"idle{replicas}_functions_gib", functions_kib / KIB_PER_GIB)
    series.add(OURS, f"idle{replicas}_kernel_gib", kernel_grown_kib / KIB_PER_GIB)
    fallen_kib = available_kib - meminfo_kib("MemAvailable")
    series.add(OURS, f"idle{replicas}_available_gib", fallen_kib / KIB_PER_GIB)


def _note_cpu(series: Series, host: Instance, replicas: int, say: Say) -> None:
    """CPU time over half a minute; from the processes of one moment, so that asking does not count itself."""
    roles = host.platform()
    say(f"idle: watching for {WINDOW_S:.0f} s")
    before = {role: process_cost.cpu_ns(pids) for role, pids in roles.items()}
    began_ns = time.monotonic_ns()
    time.sleep(WINDOW_S)
    spent = {role: process_cost.cpu_ns(pids) - before[role] for role, pids in roles.items()}
    elapsed_ns = time.monotonic_ns() - began_ns
    series.add(OURS, f"idle{replicas}_cpu_cores", sum(spent.values()) / elapsed_ns)
    for role, spent_ns in spent.items():
        series.add(
            OURS, f"idle{replicas}_cpu_cores_{role.replace(' ', '_')}", spent_ns / elapsed_ns
        )


def _kernel_kib() -> int:
    return sum(meminfo_kib(name) for name in KERNEL_FIELDS)
