"""Where an invocation's CPU time goes: samples of the servers' core, by process and by what it was doing in the kernel.

The profile behind docs/limits.md. Samples by time (`cpu-clock`), for virtual machines rarely lend their counters.
"""

import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.baselines import Target

SAMPLES_HZ = 4999
"""Not a divisor of the kernel's ticks, whose work would be met every time or never."""
SETTLE_S = 30.0

OWN = "own instructions"
SHIM = "shim"
REST = "other kernel work"
IN_KERNEL: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("switch", ("__schedule",)),
    ("TCP send", ("tcp_sendmsg",)),
    ("TCP receive", ("tcp_recvmsg",)),
    ("Unix send", ("unix_stream_sendmsg",)),
    ("Unix receive", ("unix_stream_recvmsg", "unix_stream_read_generic")),
    ("wake", ("eventfd_write",)),
    ("wait", ("do_epoll_wait", "do_epoll_pwait", "ep_poll", "do_poll")),
    ("futex", ("do_futex",)),
    ("connections", ("__sys_accept4", "__sys_accept4_file", "__fput", "do_epoll_ctl")),
    ("interrupts", ("asm_sysvec_", "asm_common_interrupt", "handle_softirqs")),
)
"""What a sample in the kernel belongs to: the first row with a function on its stack."""


class PerfMissing(Exception):
    """perf is not installed or may not be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the core.

    Attributes:
        pid: process that ran.
        frames: functions on its stack, innermost first, each with the object it belongs to.
    """

    pid: int
    frames: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Anatomy:
    """CPU time by role and work.

    Attributes:
        samples: how many of each.
        invocations: that were served meanwhile.
    """

    samples: Counter[tuple[str, str]] = field(default_factory=Counter)
    invocations: int = 0

    def us_per_invocation(self) -> dict[tuple[str, str], float]:
        """Microseconds of CPU time by (role, work), largest first."""
        each = 1e6 / SAMPLES_HZ / max(self.invocations, 1)
        return {key: count * each for key, count in self.samples.most_common()}


def work_of(sample: Sample) -> str:
    """What a sample belongs to."""
    if not sample.frames:
        return REST
    innermost = sample.frames[0][1]
    if not _is_kernel(innermost):
        return SHIM if "jshim" in innermost or "jgo" in innermost else OWN
    names = [name for name, place in sample.frames if _is_kernel(place)]
    for work, marks in IN_KERNEL:
        if any(name.startswith(marks) for name in names):
            return work
    return REST


def _is_kernel(place: str) -> bool:
    return place.startswith("[kernel") or place.endswith(".ko")


def parse(lines: Iterable[str]) -> Iterator[Sample]:
    """Samples out of what `perf script -F pid,ip,sym,dso` prints: a line with the process, one for each frame, an empty one."""
    pid, frames = 0, list[tuple[str, str]]()
    for line in lines:
        text = line.strip()
        if not text:
            if pid or frames:
                yield Sample(pid, tuple(frames))
            pid, frames = 0, []
        elif line[0] in " \t" and "(" in text:
            _, _, rest = text.partition(" ")
            name, _, place = rest.rpartition(" (")
            frames.append((name, place.rstrip(")")))
        else:
            pid = int(text.split()[0])
    if pid or frames:
        yield Sample(pid, tuple(frames))


def count(samples: Iterable[Sample], roles: Mapping[int, str]) -> Counter[tuple[str, str]]:
    """Samples by role and work; the idle core counts for nobody, unknown processes as `others`."""
    return Counter(
        (roles.get(sample.pid, "others"), work_of(sample)) for sample in samples if sample.pid
    )


@contextmanager
def looking(target: Target, core: int, folder: Path) -> Iterator[Anatomy]:
    """Samples a core while the block runs, which sets `invocations`; the figures are there afterwards.

    Raises:
        PerfMissing: perf is not installed or may not look at the machine.
    """
    perf = shutil.which("perf")
    if perf is None:
        raise PerfMissing("perf is needed: apt-get install linux-perf")
    file = folder / "perf.data"
    command = [
        perf,
        "record",
        "-q",
        "-e",
        "cpu-clock",
        "-F",
        str(SAMPLES_HZ),
        "-g",
        "-C",
        str(core),
    ]
    found = Anatomy()
    recording = subprocess.Popen([*command, "-o", str(file)], stderr=subprocess.PIPE, text=True)
    try:
        yield found
    finally:
        recording.send_signal(signal.SIGINT)
        _, said = recording.communicate(timeout=SETTLE_S)
    if not file.exists():
        raise PerfMissing(f"perf may not look at the machine: {said.strip()}")
    script = [perf, "script", "-i", str(file), "-F", "pid,ip,sym,dso"]
    roles = {pid: role for role, pids in target.processes().items() for pid in pids}
    with subprocess.Popen(
        script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as reading:
        assert reading.stdout is not None
        found.samples = count(parse(reading.stdout), roles)
    file.unlink()
