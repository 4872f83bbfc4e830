"""`junctiond demo`: hands over to the demonstration among the load tests.

The load tests build on this package and never the other way, so the demonstration is another program; this command
only finds it and becomes it, terminal, signals and all.
"""

import importlib.util
import os
import sys
from typing import NoReturn

from junctiond.cli.session import CommandError

MODULE = "loadtests.demo"


def become_demo(arguments: list[str]) -> NoReturn:
    """Replaces this process by the demonstration.

    Raises:
        CommandError: the load tests are not part of this installation.
    """
    if importlib.util.find_spec("loadtests") is None:
        raise CommandError(
            "the demonstration is not installed", "run it from a checkout: make demo"
        )
    os.execv(sys.executable, [sys.executable, "-m", MODULE, *arguments])
