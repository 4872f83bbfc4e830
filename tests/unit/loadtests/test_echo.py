from pathlib import Path

import pytest

from loadtests.echo import Course, EchoFailed, Report, note, run
from loadtests.series import OURS, Series


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_report_of_the_program(tmp_path: Path) -> None:
    text = '{"ring_echo": [{"name": "x", "message_bytes": 1, "p50_us": 2.5, "p99_us": 4, "n": 1}]}'
    found = run(program(tmp_path / "echo", f"echo '{text}'"))
    assert found == Report([Course("x", 1, 2.5, 4)])


def test_figures_of_one_byte_and_of_more() -> None:
    series = Series("echo")
    courses = [
        Course("parked, one core", 1, 3.1, 5),
        Course("parked, one core", 600, 3.3, 6),
        Course("polled, two cores", 1, 0.4, 1),
    ]
    note(series, Report(courses))
    assert series.of(OURS, "echo_same_core_us") == [3.1]
    assert series.of(OURS, "echo_600_same_core_us_p99") == [6]
    assert series.of(OURS, "echo_polled_us") == [0.4]


@pytest.mark.parametrize(
    ("text", "complaint"), [("echo broken >&2; exit 3", "broken"), ("echo 1", "no report")]
)
def test_a_program_that_fails_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(EchoFailed, match=complaint):
        run(program(tmp_path / "echo", text))
