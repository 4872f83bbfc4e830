"""A program that has just begun to listen, seen from outside (proc(5))."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Program:
    """What its start took."""

    cpu_ns: int
    """CPU time of its main thread. Unlike the time that passed, it does not depend on what else the host does."""
    threads: int


def look(init_pid: int, proc: Path = Path("/proc")) -> Program | None:
    """The program of a sandbox by its process 1; None where there is no such process, or there are several."""
    try:
        children = (proc / f"{init_pid}/task/{init_pid}/children").read_text().split()
        if len(children) != 1:
            return None
        program = proc / children[0]
        cpu_ns = int((program / "schedstat").read_text().split()[0])
        threads = sum(1 for _ in (program / "task").iterdir())
    except (OSError, ValueError, IndexError):
        return None
    return Program(cpu_ns, threads)
