"""Everything that a comparison needs, side by side and ready: functions deployed, their bare twins, and nginx before these."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from loadtests import baselines, goals, nginx_proxy
from loadtests.baselines import Target
from loadtests.failure import Attempts, Place
from loadtests.gateway import GatewayRefused
from loadtests.instance import Instance
from loadtests.placement import Placement, servers
from loadtests.program import Program

Entered = TypeVar("Entered")
BRIDGED = "aes"
"""The function that is measured behind veth and bridge as well."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One target of one function.

    Attributes:
        subject: the function.
        label: what sets it apart from the function's other cells: a baseline's name, or the attachment that is wanted.
        target: whom to ask.
        ours: whether the platform serves it.
        function: its deployed name, where the platform serves it.
        full: whether everything is measured, or only what a comparison needs.
    """

    subject: str
    label: str
    target: Target
    ours: bool = False
    function: str = ""
    full: bool = False


@contextmanager
def stand(
    host: Instance,
    images: str,
    programs: Mapping[str, Program],
    subjects: Sequence[str],
    placement: Placement,
    *,
    whole: bool,
    attempts: Attempts,
) -> Iterator[list[Cell]]:
    """Starts all targets of the functions in a placement, and removes them; one that does not come up is noted and left out.

    With `whole`, every function is deployed twice where rings can be had, once with them turned off, and nginx and the
    bridge are there; without it, only what is needed to see what the placement does to ours and to bare.
    """
    with ExitStack() as stack:
        standing = _Standing(placement, attempts)
        for subject in subjects:
            for attachment, function in _wanted(host, subject, twice=whole).items():
                image = f"{images}/{subject}:latest"
                deploy = partial(_deployed, stack, host, function, image, rings=function == subject)
                full = whole and (function == subject or subject in goals.FD)
                standing.start(subject, attachment, deploy, function=function, full=full)
        with servers(placement):
            bare: dict[str, Target] = {}
            for subject in subjects:
                around = baselines.bare(programs[subject])
                found = standing.start(
                    subject, "bare", partial(_entered, stack, around), full=whole
                )
                bare |= {subject: found} if found else {}
            if whole and "nginx" in programs:
                before = partial(
                    _entered, stack, nginx_proxy.proxies(programs["nginx"], bare, placement)
                )
                standing.start_all("nginx", before)
            if whole and BRIDGED in subjects:
                around = baselines.bridge(programs[BRIDGED])
                standing.start(BRIDGED, "bridge", partial(_entered, stack, around))
        yield standing.cells


@dataclass(slots=True)
class _Standing:
    """The cells that have come up so far."""

    placement: Placement
    attempts: Attempts
    cells: list[Cell] = field(default_factory=list)

    def start(
        self,
        subject: str,
        label: str,
        come_up: Callable[[], Target],
        *,
        function: str = "",
        full: bool = False,
    ) -> Target | None:
        """Adds a cell; returns its target, or None where it does not come up."""
        found: list[Target] = []
        place = Place("warm", subject, label, str(self.placement))
        self.attempts.run(place, "start", lambda: found.append(come_up()))
        for target in found:
            ours = bool(function)
            self.cells.append(Cell(subject, label, target, ours=ours, function=function, full=full))
        return found[0] if found else None

    def start_all(self, label: str, come_up: Callable[[], dict[str, Target]]) -> None:
        """Adds a cell for each function that one server stands before."""
        found: dict[str, Target] = {}
        place = Place("warm", "", label, str(self.placement))
        self.attempts.run(place, "start", lambda: found.update(come_up()))
        self.cells += [Cell(subject, label, target) for subject, target in found.items()]


def _wanted(host: Instance, subject: str, *, twice: bool) -> dict[str, str]:
    """Names to deploy a function under, by the attachment that is wanted of it."""
    if host.settings.shim() is None:
        return {"fd": subject}
    return {"ring": subject} | ({"fd": f"{subject}-fd"} if twice else {})


def _deployed(
    stack: ExitStack, host: Instance, function: str, image: str, *, rings: bool
) -> Target:
    host.gateway.deploy(function, image, rings=rings)
    stack.callback(_removed, host, function)
    host.gateway.wait_for_replicas(function, 1)
    return host.target(function)


def _removed(host: Instance, function: str) -> None:
    """Removes a function; where the host has died the figures are in already, and the host's end removes the rest."""
    with suppress(GatewayRefused):
        host.gateway.remove(function)


def _entered(stack: ExitStack, around: AbstractContextManager[Entered]) -> Entered:
    return stack.enter_context(around)
