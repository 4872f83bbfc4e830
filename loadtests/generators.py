"""Load generators: our own client (raw samples, one thread) and wrk (closed loop, when it is installed)."""

import array
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.machine import REPOSITORY

CLIENT_SOURCE = Path(__file__).parent / "client"
CLIENT_BINARY = REPOSITORY / ".cache" / "bin" / "loadclient"
WRK_SCRIPT = Path(__file__).parent / "post.lua"
MARGIN_S = 30.0
"""How much longer than planned a generator may run before it is stopped."""


class GeneratorFailed(Exception):
    """A load generator could not run; the message says why and what to do."""


class ClientReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the Go client prints (loadtests/client/report.go)."""

    mode: str
    connections: int
    rate_rps: float
    requests: int
    elapsed_ns: int
    rps: float
    codes: dict[str, int]
    failures: dict[str, int]
    unsent: int
    body_bytes: int
    differing: int
    latency_ns: dict[str, int]
    client_cpu_ns: int
    started_at_ns: int
    finished_at_ns: int


@dataclass(frozen=True, slots=True)
class Measured:
    """The outcome of one generator run.

    Attributes:
        requests: invocations answered in the measured window.
        failed: answers other than 200, broken connections and timeouts.
        rps: answers per second.
        samples_ns: every latency in order of completion; empty from wrk, which keeps a histogram of its own.
    """

    requests: int
    failed: int
    rps: float
    samples_ns: Sequence[int]


def require_success(name: str, measured: Measured) -> Measured:
    """Returns what was measured, if every invocation succeeded.

    Raises:
        GeneratorFailed: one failed. A figure over failures would flatter whoever fails fast.
    """
    if measured.failed or not measured.requests:
        raise GeneratorFailed(
            f"{name}: {measured.failed} failures beside {measured.requests} invocations"
        )
    return measured


def build_client() -> Path:
    """Builds the Go client unless it is newer than its source; returns the executable.

    Raises:
        GeneratorFailed: Go is missing, or the build fails.
    """
    newest = max(source.stat().st_mtime_ns for source in CLIENT_SOURCE.iterdir())
    if CLIENT_BINARY.exists() and CLIENT_BINARY.stat().st_mtime_ns >= newest:
        return CLIENT_BINARY
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if go is None:
        raise GeneratorFailed("the load client needs Go to build: make setup, or put go on PATH")
    CLIENT_BINARY.parent.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-trimpath", "-o", str(CLIENT_BINARY), "."]
    built = subprocess.run(command, cwd=CLIENT_SOURCE, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise GeneratorFailed(f"building the load client failed:\n{built.stderr}")
    return CLIENT_BINARY


def run_client(url: str, *arguments: str, timeout_s: float = 120) -> tuple[ClientReport, list[int]]:
    """Runs the Go client; returns its report and its raw latencies in nanoseconds.

    Raises:
        GeneratorFailed: it exits with an error or does not end.
    """
    binary = build_client()
    with tempfile.TemporaryDirectory(prefix="loadclient-") as folder:
        samples = Path(folder) / "samples"
        command = [str(binary), "-url", url, "-samples", str(samples), *arguments]
        output = _run(command, timeout_s)
        return msgspec.json.decode(output, type=ClientReport), read_samples(samples.read_bytes())


def read_samples(raw: bytes) -> list[int]:
    """Decodes latencies stored as little-endian int64."""
    samples = array.array("q")
    samples.frombytes(raw)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tolist()


def sequential(
    url: str, requests: int, warmup_requests: int, body_bytes: int, *, fresh: bool = False
) -> Measured:
    """One invocation after the other, on one kept-alive connection or each on a new one."""
    report, samples = run_client(
        url,
        "-mode=sequential",
        f"-requests={requests}",
        f"-warmup-requests={warmup_requests}",
        f"-body-bytes={body_bytes}",
        f"-fresh={str(fresh).lower()}",
    )
    return _measured(report, samples)


def closed_loop(
    url: str, connections: int, duration_s: float, body_bytes: int, *, use_wrk: bool
) -> Measured:
    """`connections` clients, each sending again as soon as its answer is in."""
    if use_wrk:
        return _wrk(url, connections, duration_s, body_bytes)
    report, samples = run_client(
        url,
        "-mode=closed",
        f"-connections={connections}",
        f"-duration={duration_s}s",
        f"-body-bytes={body_bytes}",
        timeout_s=duration_s + MARGIN_S,
    )
    return _measured(report, samples)


def open_loop(
    url: str, rate_rps: float, connections: int, duration_s: float, body_bytes: int
) -> Measured:
    """Invocations at a constant rate, whatever the answers do; each is timed from when it was due."""
    report, samples = run_client(
        url,
        "-mode=open",
        f"-rate={rate_rps:.0f}",
        f"-connections={connections}",
        f"-duration={duration_s}s",
        f"-body-bytes={body_bytes}",
        timeout_s=duration_s + MARGIN_S,
    )
    return _measured(report, samples)


def have_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def _measured(report: ClientReport, samples: list[int]) -> Measured:
    good = report.codes.get("200", 0)
    failed = report.requests - good + sum(report.failures.values()) + report.differing
    return Measured(report.requests, failed + report.unsent, report.rps, samples)


def _wrk(url: str, connections: int, duration_s: float, body_bytes: int) -> Measured:
    whole_s = max(1, round(duration_s))  # wrk takes whole seconds
    command = ["wrk", "-t1", f"-c{connections}", f"-d{whole_s}s", "--timeout", "10s"]
    command += ["-s", str(WRK_SCRIPT), url, "--", str(body_bytes)]
    return parse_wrk(_run(command, whole_s + MARGIN_S).decode())


def parse_wrk(output: str) -> Measured:
    """Reads the line that post.lua prints at the end of a run.

    Raises:
        GeneratorFailed: the line is not there.
    """
    found = re.search(r"^result requests=(\d+) duration_us=(\d+) failed=(\d+)$", output, re.M)
    if found is None:
        raise GeneratorFailed(f"wrk printed no result:\n{output}")
    requests, duration_us, failed = (int(group) for group in found.groups())
    return Measured(requests, failed, requests * 1e6 / max(duration_us, 1), ())


def _run(command: list[str], timeout_s: float) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise GeneratorFailed(f"{command[0]} is not installed: make setup") from error
    except subprocess.TimeoutExpired as error:
        raise GeneratorFailed(f"{command[0]} did not end within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise GeneratorFailed(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")
    return done.stdout
