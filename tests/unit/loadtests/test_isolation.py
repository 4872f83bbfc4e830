"""Goal: what does not come up, or breaks, takes nothing else with it: a function, a baseline, a whole part."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests import host_parts, idle, sustained
from loadtests.baselines import Target
from loadtests.effort import QUICK
from loadtests.failure import Attempts
from loadtests.gateway import GatewayRefused
from loadtests.host_parts import Parts
from loadtests.placement import Placement
from loadtests.program import Program
from loadtests.quiet import Quiet
from loadtests.record import Subject
from loadtests.series import OURS, Series
from loadtests.stand import stand

SERVER = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
FINE = Program((sys.executable, "-c", SERVER))
BROKEN = Program(("/bin/false",))


class Host:
    """A host on which some functions cannot be deployed."""

    def __init__(self, broken: set[str]) -> None:
        self.broken, self.removed = broken, list[str]()
        self.settings = SimpleNamespace(shim=lambda: None)
        self.gateway = self

    def deploy(self, function: str, _image: str, **_: object) -> None:
        if function in self.broken:
            raise GatewayRefused(f"POST /system/functions: 400 {function}")

    def remove(self, function: str) -> None:
        self.removed.append(function)
        raise GatewayRefused("the host has died")

    def wait_for_replicas(self, _function: str, _available: int) -> None:
        return

    def target(self, _function: str) -> Target:
        return Target(OURS, "http://127.0.0.1:1/", dict)


def test_a_function_or_baseline_that_does_not_come_up_is_left_out():
    attempts, host = Attempts(lambda _: None), Host({"refused"})
    programs = {"fine": FINE, "refused": FINE, "ends": BROKEN}
    standing = stand(
        *(host, "registry", programs, [*programs], Placement.FREE),  # type: ignore[arg-type]
        whole=False,
        attempts=attempts,
    )
    with standing as cells:
        found = {(cell.subject, cell.label) for cell in cells}
    assert found == {("fine", "fd"), ("fine", "bare"), ("refused", "bare"), ("ends", "fd")}
    failed = [(mark.subject, mark.target, mark.step) for mark in attempts.failures]
    assert failed == [("refused", "fd", "start"), ("ends", "bare", "start")]
    assert sorted(host.removed) == ["ends", "fine"]  # its refusal loses nothing any more


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    @contextmanager
    def instance(_: Placement) -> Iterator[Any]:
        yield SimpleNamespace()

    monkeypatch.setattr(host_parts, "instance", instance)
    return Parts(
        images="registry",
        programs={},
        effort=QUICK,
        seed=1,
        quiet=Quiet(0, sleep=lambda _: None),
        attempts=Attempts(lambda _: None),
        found=[],
        after_round=lambda: None,
    )


def test_a_part_that_breaks_leaves_the_next_one_alone(
    monkeypatch: pytest.MonkeyPatch, parts: Parts
):
    def broken(*_: object) -> Series:
        raise ExceptionGroup("workers", [TimeoutError(), GatewayRefused("503")])

    watched = Series("idle", Subject("aes", "", "own"), {(OURS, "idle50_cpu_cores"): {1: 0.1}})
    monkeypatch.setattr(sustained, "measure", broken)
    monkeypatch.setattr(idle, "measure", lambda *_: watched)
    parts.measure(["sustained", "idle"])
    assert parts.found == [watched]
    (mark,) = parts.attempts.failures
    assert (mark.benchmark, mark.placement, mark.words) == (
        "sustained",
        "own",
        "TimeoutError; 503",
    )
