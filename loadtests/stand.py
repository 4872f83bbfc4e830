"""Everything that a comparison needs, side by side and ready: functions deployed, their bare twins, and nginx before these."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from loadtests import baselines, nginx_proxy
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
) -> Iterator[list[Cell]]:
    """Starts all targets of the functions in a placement, and removes them.

    Where rings can be had, every function is deployed twice, once with them turned off.
    """
    cells: list[Cell] = []
    with ExitStack() as stack:
        for subject in subjects:
            cells += _deployed(stack, host, subject, f"{images}/{subject}:latest")
        with servers(placement):
            bare = {name: stack.enter_context(baselines.bare(programs[name])) for name in subjects}
            proxies = stack.enter_context(nginx_proxy.proxies(programs["nginx"], bare, placement))
            if BRIDGED in subjects and placement is Placement.SPLIT:
                bridge = stack.enter_context(baselines.bridge(programs[BRIDGED]))
                cells.append(Cell(BRIDGED, "bridge", bridge))
        cells += [Cell(name, "bare", target, full=True) for name, target in bare.items()]
        cells += [Cell(name, "nginx", target) for name, target in proxies.items()]
        yield cells


def _deployed(stack: ExitStack, host: Instance, subject: str, image: str) -> list[Cell]:
    wanted = {"fd": subject}
    if host.settings.shim() is not None:
        wanted = {"ring": subject, "fd": f"{subject}-fd"}
    cells = []
    for attachment, function in wanted.items():
        host.gateway.deploy(function, image, rings=function == subject)
        stack.callback(host.gateway.remove, function)
        host.gateway.wait_for_replicas(function, 1)
        target = host.target(function)
        full = function == subject
        cells.append(Cell(subject, attachment, target, ours=True, function=function, full=full))
    return cells
