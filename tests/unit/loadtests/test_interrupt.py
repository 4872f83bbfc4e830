import signal
import subprocess
import sys

PROGRAM = """
import time
from contextlib import contextmanager
from loadtests.interrupt import unwind_on_sigterm

@contextmanager
def noisy():
    try:
        yield
    finally:
        print("left", flush=True)

unwind_on_sigterm()
with noisy():
    print("in", flush=True)
    time.sleep(20)
"""


def test_sigterm_leaves_every_block() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert output == "left\n"
    assert process.returncode != 0
