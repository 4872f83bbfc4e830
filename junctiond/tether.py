"""`python -m junctiond.tether MODULE ARGUMENTS…`: runs a module that ends when its parent ends.

The provider holds no state and listens on a socket that the next provider needs: when the daemon is killed, its provider
must go too (prctl(2), PR_SET_PDEATHSIG). Done in the child, for a hook between fork and exec is unsafe in a daemon with
threads.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "JUNCTIOND_PARENT_PID"


def tether(parent_pid: int) -> None:
    """Asks the kernel for SIGTERM at the parent's end; ends at once where the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit(0)


if __name__ == "__main__":
    tether(int(os.environ.pop(PARENT_VARIABLE)))
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
