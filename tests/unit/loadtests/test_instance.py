import os
from pathlib import Path

from junctiond.cli.machine import PARTS
from junctiond.settings import load
from loadtests.instance import environment_for, remove_cgroups, settings_for, stale
from loadtests.placement import Placement


def test_environment_gives_the_same_settings(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    again = load(environment=environment_for(settings))
    assert again == settings
    assert again.state_dir.is_relative_to(tmp_path)
    assert again.cgroup_parent != load().cgroup_parent


def test_only_the_free_placement_turns_the_platforms_own_off(tmp_path: Path) -> None:
    found = {placement: settings_for(tmp_path, placement).placement for placement in Placement}
    assert found.pop(Placement.FREE) == "off"
    assert set(found.values()) == {"balanced"}


def test_cgroups_of_every_hierarchy_are_removed(tmp_path: Path) -> None:
    for folder in ("memory/mine/a", "cpu/mine", "mine/b", "memory/other"):
        (tmp_path / folder).mkdir(parents=True)
    remove_cgroups("mine", tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("**/*"))
    assert left == ["cpu", "memory", "memory/other"]


def test_binaries_older_than_their_sources_are_told(tmp_path: Path) -> None:
    for name in PARTS:
        (tmp_path / name).touch()
    settings = load(bin_dir=tmp_path)
    assert stale(settings) == []
    os.utime(tmp_path / "jnetd", (0, 0))
    assert stale(settings) == ["jnetd"]
