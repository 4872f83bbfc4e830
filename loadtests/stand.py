"""Everything that a comparison needs, side by side and ready: functions deployed, their bare twins, and nginx before these."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from loadtests import baselines, goals, nginx_proxy
from loadtests.baselines import Target
from loadtests.instance import Instance
from loadtests.placement import Placement, servers
from loadtests.program import Program

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
) -> Iterator[list[Cell]]:
    """Starts all targets of the functions in a placement, and removes them.

    With `whole`, every function is deployed twice where rings can be had, once with them turned off, and nginx and the
    bridge are there; without it, only what is needed to see what the placement does to ours and to bare.
    """
    cells: list[Cell] = []
    with ExitStack() as stack:
        for subject in subjects:
            cells += _deployed(stack, host, subject, f"{images}/{subject}:latest", twice=whole)
        with servers(placement):
            bare = {name: stack.enter_context(baselines.bare(programs[name])) for name in subjects}
            cells += [Cell(name, "bare", target, full=whole) for name, target in bare.items()]
            if whole:
                around = nginx_proxy.proxies(programs["nginx"], bare, placement)
                proxies = stack.enter_context(around)
                cells += [Cell(name, "nginx", target) for name, target in proxies.items()]
            if whole and BRIDGED in subjects:
                bridge = stack.enter_context(baselines.bridge(programs[BRIDGED]))
                cells.append(Cell(BRIDGED, "bridge", bridge))
        yield cells


def _deployed(
    stack: ExitStack, host: Instance, subject: str, image: str, *, twice: bool
) -> list[Cell]:
    wanted = {"fd": subject}
    if host.settings.shim() is not None:
        wanted = {"ring": subject} | ({"fd": f"{subject}-fd"} if twice else {})
    cells = []
    for attachment, function in wanted.items():
        host.gateway.deploy(function, image, rings=function == subject)
        stack.callback(host.gateway.remove, function)
        host.gateway.wait_for_replicas(function, 1)
        target = host.target(function)
        full = twice and (function == subject or subject in goals.FD)
        cells.append(Cell(subject, attachment, target, ours=True, function=function, full=full))
    return cells
