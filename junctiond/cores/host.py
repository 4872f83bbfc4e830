"""This host's cores: what the platform was given, and how the settings lay it out."""

import os

from junctiond.cores.layout import Layout, Mode, parse_cores, plan, show_cores
from junctiond.settings import Settings, SettingsError


def usable_cores() -> frozenset[int]:
    """The cores that this process may use: affinity (taskset) and cpuset (systemd's AllowedCPUs) together."""
    return frozenset(os.sched_getaffinity(0))


def restrict(settings: Settings) -> None:
    """Puts this process, and with it all that it starts, on the cores that the settings name; none named: all stay.

    Called before the first thread starts, for affinity is inherited.

    Raises:
        SettingsError: none of the named cores may be used.
    """
    if not settings.cores:
        return
    wanted = parse_cores(settings.cores)
    have = usable_cores()
    if not wanted <= have:
        raise SettingsError(
            f"cores {settings.cores!r}: this process may use {show_cores(have)} only "
            "(affinity, cpuset or the machine itself); name some of these"
        )
    os.sched_setaffinity(0, wanted)


def layout_of(settings: Settings) -> Layout:
    """The layout of this host, from the settings and from where this process may run."""
    return plan(Mode(settings.placement), usable_cores(), settings.workers)
