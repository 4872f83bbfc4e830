"""The chapters of RESULTS.md, in reading order. A new benchmark adds its chapter here and nothing else."""

from collections.abc import Sequence

from loadtests import pivot
from loadtests.incumbent.chapter import CHAPTER as INCUMBENT
from loadtests.mark import Mark
from loadtests.markdown import markdown
from loadtests.record import Record
from loadtests.report import Chapter, Plot
from loadtests.simulator.chapter import CHAPTER as SIMULATOR


def _warm(records: Sequence[Record], marks: Sequence[Mark]) -> str:
    return markdown(pivot.HEAD, pivot.rows(records, marks))


CHAPTERS = (
    Chapter(
        "Warm invocations",
        pivot.BENCHMARKS,
        "Beside *bare* (the very program of the same image on kernel loopback) and *nginx* (Debian's, proxying to that "
        "bare program with kept-alive upstreams), in the same rounds and the same placement. The attachment is what the "
        "front door's counters say carried the load. In S every function is measured, by rings and, with rings turned off, by "
        "fd; in O, U and P `aes`, `asyncio` and `epoll` by rings, one after the other and at 8 connections, beside bare.",
        (
            Plot("latency.png", "Latency distribution of each target"),
            Plot("hop.png", "What the platform adds to the bare function"),
        ),
        _warm,
    ),
    INCUMBENT,
    Chapter(
        "Ring echo",
        ("echo",),
        "A message of one byte, or of 600, to a peer and back through a pair of rings.",
    ),
    Chapter(
        "Cold starts",
        ("cold", "sustained"),
        "*launch* is one invocation of a function at zero replicas; *sustained* is a closed loop over many functions, each "
        "scaled to zero after its answer.",
    ),
    Chapter(
        "Idle replicas",
        ("memory", "idle"),
        "What the platform takes beside the function's own memory, and a host full of idle replicas.",
    ),
    SIMULATOR,
)
