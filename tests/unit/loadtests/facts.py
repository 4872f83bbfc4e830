"""The machine and the commit that records under test claim to be from."""

from loadtests.machine import Machine
from loadtests.record import Provenance

MACHINE = Machine(
    cpu="test",
    cores=2,
    memory_mib=1024,
    kernel="6.1",
    os="Debian",
    cgroup="v2",
    generators="wrk",
    steal_share=0.0,
    idle_share=0.5,
    load_1m=0.1,
)
PROVENANCE = Provenance("0123456789ab", MACHINE, "2026-01-02T03:04:05+00:00")
