from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.request import Priority
from inference.errors import ScenarioError
from inference.policies.power.controller import RowController
from inference.row.scenario import FILES, POLICIES, load_row, power_policy, shipped_row

GOOD = """
name = "test"
[row]
servers = 8
provisioned_servers = 6
provisioned_w_per_server = 4000.0
days = 1
seed = 3
[load]
busy_peak = 0.7
busy_valley = 0.3
[policy]
name = "polca"
"""
WORKLOAD = """
[[workload]]
name = "only"
share = {share}
priority = "{priority}"
prompt_tokens = {prompts}
output_tokens = [1, 5]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "row.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_is_read(tmp_path: Path) -> None:
    row = load_row(written(tmp_path, GOOD))
    assert (row.name, row.servers, row.provisioned_w, row.seed) == ("test", 8, 24_000.0, 3)
    assert row.priorities().count(Priority.LOW) == 4
    assert row.oversubscribed(0.5).servers == 9


@pytest.mark.parametrize("path", sorted(FILES.glob("polca-p*.toml")), ids=lambda path: path.stem)
def test_shipped_rows_load_and_make_their_policy(path: Path) -> None:
    row = load_row(path)
    assert row.name == path.stem
    assert row.days == 42
    policy = power_policy(row)
    assert (policy is None) == (row.policy == "unlimited")


def test_plus_30_percent_is_52_servers() -> None:
    assert shipped_row("polca-plus30").servers == 52
    assert shipped_row("polca-provisioned").oversubscribed(0.30).servers == 52


def test_every_policy_is_made_by_its_name(tmp_path: Path) -> None:
    row = load_row(written(tmp_path, GOOD))
    for name in POLICIES:
        policy = power_policy(replace(row, policy=name))
        if policy is not None:
            assert isinstance(policy, RowController)
            assert policy.table.name == name
    with pytest.raises(ValueError, match="expected a policy"):
        power_policy(row, "hope")


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("servers = 8", "servers = 0", "row.servers", "whole number from 1"),
        ("servers = 8", "servers = true", "row.servers", "whole number"),
        ("servers = 8", "servers = 3", "row.servers", "each workload"),
        ("servers = 8", "severs = 8", "row.severs", "unknown"),
        ("days = 1", "days = 0", "row.days", "from 0.01 to 366"),
        ("seed = 3", "", "row.seed", "found None"),
        ("busy_peak = 0.7", "busy_peak = nan", "load.busy_peak", "from 0.01 to 0.98"),
        ("busy_valley = 0.3", "busy_valley = 0.9", "load.busy_valley", "from 0 to 0.7"),
        ("busy_peak = 0.7", 'busy_peak = "much"', "load.busy_peak", "a number"),
        ('name = "polca"', 'name = "pulca"', "policy.name", "one of unlimited"),
        ('name = "polca"', 'name = "polca"\nt1 = 0.88', "policy", "t1 < t2 - lift"),
        ('name = "test"', "", "name", "a text"),
        ('name = "test"', 'name = "test"\nextra = 1', "extra", "unknown"),
        ('[policy]\nname = "polca"', "", "policy", r"a table \[policy\]"),
        ("[row]", "row = 1\n[raw]", "raw", "unknown"),
        ("seed = 3", "seed = ", "file", "TOML"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, old: str, new: str, key: str, expected: str
) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ScenarioError, match=expected) as error:
        load_row(path)
    assert error.value.source == str(path)
    assert error.value.key == key


@pytest.mark.parametrize(
    ("share", "priority", "prompts", "key"),
    [
        (0.5, "low", "[1, 9]", "workload.share"),
        (1.0, "lowest", "[1, 9]", "workload.0.priority"),
        (1.0, "low", "[9, 1]", "workload.0.prompt_tokens"),
        (1.0, "low", "[0, 1]", "workload.0.prompt_tokens"),
        (1.0, "low", "7", "workload.0.prompt_tokens"),
    ],
)
def test_workloads_are_checked(
    tmp_path: Path, share: float, priority: str, prompts: str, key: str
) -> None:
    text = GOOD + WORKLOAD.format(share=share, priority=priority, prompts=prompts)
    with pytest.raises(ScenarioError) as error:
        load_row(written(tmp_path, text))
    assert error.value.key == key


def test_own_workloads_replace_the_mix(tmp_path: Path) -> None:
    text = GOOD + WORKLOAD.format(share=1.0, priority="high", prompts="[1, 9]")
    row = load_row(written(tmp_path, text))
    assert row.priorities() == (Priority.HIGH,) * 8


def test_a_missing_file_and_a_cycle_are_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="found no file"):
        load_row(tmp_path / "absent.toml")
    with pytest.raises(ScenarioError, match="no cycle"):
        load_row(written(tmp_path, 'include = ["row.toml"]\n' + GOOD))
