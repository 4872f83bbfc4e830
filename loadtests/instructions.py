"""Instructions that processes retire, by `perf stat`; nothing where the machine has no such counter, as in most guests."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

EVENT = "instructions"
ATTACH_S = 0.05
"""Until perf has opened its counters on every thread."""
STOP_WAIT_S = 5.0


@dataclass(slots=True)
class Count:
    """What was counted; None until the block has ended, and where nothing can be counted."""

    value: float | None = None


@cache
def supported(event: str = EVENT) -> bool:
    """Whether perf is installed and this machine counts the event."""
    if shutil.which("perf") is None:
        return False
    command = ["perf", "stat", "-x", ",", "-e", event, "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and parse(done.stderr) is not None


@contextmanager
def counting(pids: Iterable[int], event: str = EVENT) -> Iterator[Count]:
    """Counts an event of processes, and of threads they start meanwhile, while the block runs."""
    count, wanted = Count(), ",".join(map(str, pids))
    if not wanted or not supported(event):
        yield count
        return
    with tempfile.TemporaryDirectory(prefix="perf-") as folder:
        report = Path(folder) / "report"
        command = ["perf", "stat", "-x", ",", "-e", event, "-o", str(report), "-p", wanted]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(ATTACH_S)
            yield count
        finally:
            process.send_signal(signal.SIGINT)  # it writes its report and ends
            process.wait(STOP_WAIT_S)
        count.value = parse(report.read_text()) if report.exists() else None


def parse(report: str) -> float | None:
    """The sum of the counters in perf's CSV (perf-stat(1), -x); None where one could not be counted."""
    values = []
    for line in report.splitlines():
        fields = line.split(",")
        if len(fields) < 3 or line.startswith("#"):
            continue
        try:
            values.append(float(fields[0]))
        except ValueError:  # <not supported>, <not counted>
            return None
    return sum(values) if values else None
