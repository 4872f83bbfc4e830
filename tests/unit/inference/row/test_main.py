from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from inference.row.__main__ import main

app = typer.Typer()
app.command()(main)


def test_a_shipped_row_is_run_and_a_day_of_it_drawn(tmp_path: Path) -> None:
    drawing = tmp_path / "day.svg"
    arguments = ["polca-plus30", "--days", "1", "--policy", "no-cap", "--svg", str(drawing)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "under no-cap: 52 servers on 196 kW" in result.output
    assert "modelled" in result.output
    assert drawing.read_text(encoding="utf-8").startswith("<svg")


def test_servers_are_added_in_percent() -> None:
    arguments = ["polca-provisioned", "--days", "0.05", "--add", "10"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "44 servers" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["polca-minus30"], "expected a row scenario, found no file"),
        (["polca-plus30", "--days", "0.05", "--policy", "hope"], "expected a policy of"),
        (["polca-plus30", "--days", "0.05", "--svg", "x.svg"], "whole days"),
        (["polca-plus30", "--add", "-500"], "'--add'"),
        (["polca-plus30", "--days", "nan"], "'--days'"),
        (["polca-plus30", "--days", "1e300"], "'--days'"),
        (["polca-plus30", "--days", "1", "--svg", "missing/x.svg"], "expected a file to write to"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
