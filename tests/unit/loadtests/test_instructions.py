import os
import shutil

import pytest

from loadtests.instructions import counting, parse, supported


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            "# started on Sun\n\n1000,,instructions:u,5,100.00,,\n500,,instructions:k,5,100.00,,\n",
            1500,
        ),
        ("<not supported>,,instructions,0,100.00,,\n", None),
        ("12.5,msec,task-clock,12500000,100.00,,\n", 12.5),
        ("", None),
    ],
)
def test_report_of_perf(report, expected):
    assert parse(report) == expected


def test_nothing_is_counted_where_nothing_can_be():
    with counting([]) as count:
        pass
    assert count.value is None
    assert not supported("no-such-event")


@pytest.mark.skipif(not supported("task-clock"), reason="perf is not installed or not allowed")
def test_a_software_event_of_this_process():
    assert shutil.which("perf")
    with counting([os.getpid()], "task-clock") as count:
        sum(range(3_000_000))
    assert count.value is not None
    assert count.value > 1
